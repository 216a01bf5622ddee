"""`tables.yaml`: reads table entries and reports every mistake at once, each with its line."""

from collections.abc import Iterable
from pathlib import Path

from models.catalogue import CatalogueError
from models.tables import TableSpec


def extend(builtin: Iterable[TableSpec], path: Path) -> tuple[TableSpec, ...]:
    """Built-in tables with those of the file. Raises CatalogueError."""
    raise CatalogueError([f"{path}: not readable yet"])
