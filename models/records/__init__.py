"""Row models of the built-in tables, each with its TableSpec below it."""
