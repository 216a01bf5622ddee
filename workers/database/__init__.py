"""The database behind the lookup tables: asked for owners that no table knows (docs/decisions/0031)."""
