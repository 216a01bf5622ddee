"""Kafka as commands and stages reach it: connections, topics, groups, and partitions read from the outside."""
