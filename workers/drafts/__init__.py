"""Drafts of `tables.yaml`: what is seen in records or in a database, and what is guessed of it."""
