"""cdc.raw.<source> -> cdc.events: exactly once."""
