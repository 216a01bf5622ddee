"""Kinesis -> cdc.raw.<source>: exactly once."""
