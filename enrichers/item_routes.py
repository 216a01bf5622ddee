"""The short way of the bridge for records of DynamoDB: of an ordinary one only the key is decoded."""

from models.catalogue import Catalogue
from models.routing import Route
from models.sources import dynamodb

REMEMBERED = 16_384
"""Items of one table whose routes are kept."""

Key = tuple[tuple[str, str, str], ...]
"""Name, type and value of every attribute of a key."""


class ItemRoutes:
    """Routes of the items of all tables, by their typed keys."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._routes: dict[tuple[str, Key], Route | None] = {}

    def route(self, data: bytes) -> Route | None:
        """None: no ordinary change of a known table, whatever it may be."""
        found = dynamodb.glance_at(data) if dynamodb.HINT in data else None
        if found is None:
            return None
        table, keys = found
        # With the names of the columns: their order in the record is of no meaning, but costs only a second entry.
        asked = (table, tuple((name, *item) for name, typed in keys.items() for item in typed.items()))
        try:
            return self._routes[asked]
        except KeyError:
            pass
        known = self._route(table, keys)
        if len(self._routes) >= REMEMBERED:
            self._routes.clear()
        self._routes[asked] = known
        return known

    def _route(self, table: str, keys: dict[str, dict[str, str]]) -> Route | None:
        spec = self._catalogue.match(dynamodb.ADAPTER, dynamodb.SCHEMA, table)
        if spec is None or any(name not in keys for name in spec.key):
            return None
        values = [dynamodb.key_value_of(keys[name]) for name in spec.key]
        if any(value is None for value in values):
            return None
        try:
            return Route(spec.row_key(dynamodb.SCHEMA, values), dynamodb.ADAPTER, spec.name)
        except (ValueError, TypeError, OverflowError):
            return None
