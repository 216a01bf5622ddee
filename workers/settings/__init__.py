"""What a worker is told: every setting, its type, its origin, and where secrets come from."""
