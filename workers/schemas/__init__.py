"""Schemas: of the events (exported, compared, documented) and of the source tables as records showed them."""
