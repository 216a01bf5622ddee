"""Chaos for the engine: a workload, faults from a seed, a history of what happened, and a checker that judges it."""
