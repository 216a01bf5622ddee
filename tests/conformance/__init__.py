"""The contract tests of the stand-in, run over other emulators as well: `make conformance`."""
