"""The contract tests of the stand-in's Kinesis, run over other emulators as well: `make conformance`."""
