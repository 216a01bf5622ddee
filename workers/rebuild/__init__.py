"""Restores damaged tables of the enrich stage from the raw topic, as far as that reaches (`cdc table rebuild`)."""
