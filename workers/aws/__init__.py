"""Talking to AWS: credentials, signatures and the client of the hot calls."""
