"""Web views of a worker."""
