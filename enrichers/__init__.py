"""What happens to a change: pure functions, no clock, no network."""
