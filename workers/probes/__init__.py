"""Liveness and readiness of a worker, on a port of their own."""
