"""The cdc command: one file per command group."""
