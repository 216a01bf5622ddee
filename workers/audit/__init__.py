"""Proves from the outside that the counts of every stage add up (P5): ledgers beside what stands in the topics."""
