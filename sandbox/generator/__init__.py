"""Realistic change traffic for the built-in tables, with a ledger of how every change has to end."""
