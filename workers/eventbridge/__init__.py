"""Delivering to EventBridge."""
