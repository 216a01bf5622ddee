"""All workers seen from any of them."""
