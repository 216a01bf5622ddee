"""Benchmarks: the engine and the bridge beside their peers, and beside what aiokafka itself can do. See
`docs/benchmarks.md`."""
