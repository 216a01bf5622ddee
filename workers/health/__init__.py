"""Health: whether what the pipeline depends on is there, and what CloudWatch hears of it."""
