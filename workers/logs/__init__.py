"""Lines of log: how they look, what is masked in them, and the last of them in memory."""
