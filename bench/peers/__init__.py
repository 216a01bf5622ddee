"""What is measured: one module per peer, run as a process of its own in the peer's own environment.

Only the standard library, msgspec and the peer itself are imported here. Every peer does the same work: decode the
value to `record.Change`, forward the bytes under the same key, and in the work `table` also keep `record.kept` of the
value under the key.
"""
