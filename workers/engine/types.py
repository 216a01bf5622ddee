"""Names of the engine that other rooms use without knowing Faust."""

from faust.types import TP

__all__ = ["TP"]
