"""Benchmarks: the engine beside its peers and beside what aiokafka itself can do. See `docs/benchmarks.md`."""
