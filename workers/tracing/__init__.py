"""Spans of records on their way through the stages (extra `otel`)."""
