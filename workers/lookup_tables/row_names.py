"""How people name a row: `users:7`, `7` where the table is known, or the key as it stands in Kafka."""

from dataclasses import dataclass

from models.catalogue import Catalogue
from models.routing import entity_key, key_value
from models.sources.binary import TAG
from models.strict_json import JsonError, decode
from models.tables import TableSpec
from workers.failures import NotFoundError, unknown_name

_FIRST_VALUE = 2
"""Of a key in Kafka: behind schema and table."""
_BYTES = "%b64"
"""Of an id in events: its value are bytes, in base64."""


class InvalidRow(ValueError):
    """The text names no row; the message says why, without its values (P6)."""


class UnknownTable(InvalidRow):
    """It is a row of a table that nobody has described."""

    def __init__(self, name: str, catalogue: Catalogue) -> None:
        self.not_found: NotFoundError = unknown_name("table", name, sorted(one.name for one in catalogue.specs))
        super().__init__(f"{self.not_found}; {self.not_found.hint}")


@dataclass(frozen=True, slots=True)
class RowName:
    """One row of one table. `schema`: only a key as it stands in Kafka says it."""

    spec: TableSpec
    values: tuple[object, ...]
    schema: str | None = None

    def key(self, schema: str) -> bytes:
        """Its key in Kafka; `schema`: that of its table, unless the name says another."""
        return self.spec.row_key(self.schema if self.schema is not None else schema, self.values)


def row_name(text: str, catalogue: Catalogue, among: TableSpec | None = None) -> RowName:
    """Read it. `among`: the table that is meant where the text names none. Raises InvalidRow."""
    if text.startswith("["):
        return _of_kafka(text, catalogue)
    name, colon, rest = text.partition(":")
    spec = catalogue.named(name) if colon else None
    if spec is None:
        spec, rest = among, text
    if spec is None:
        if colon:
            raise UnknownTable(name, catalogue)
        raise InvalidRow("a row is named TABLE:ID, like users:7")
    values = tuple(_value(part) for part in rest.split(":"))
    return _checked(RowName(spec, values))


def _of_kafka(text: str, catalogue: Catalogue) -> RowName:
    try:
        parts = decode(text.encode())
    except JsonError:
        raise InvalidRow('a key in Kafka is JSON, like ["core","users",7]') from None
    if not isinstance(parts, list) or len(parts) <= _FIRST_VALUE or not all(isinstance(p, str) for p in parts[:2]):
        raise InvalidRow('a key in Kafka is [schema, table, values of the key], like ["core","users",7]')
    spec = catalogue.match(None, parts[0], parts[1])
    if spec is None:
        raise InvalidRow("no table with that schema and name is known; `cdc tables list` shows those that are")
    return _checked(RowName(spec, tuple(parts[_FIRST_VALUE:]), parts[0]))


def _checked(row: RowName) -> RowName:
    if len(row.values) != len(row.spec.key) or not all(value != "" for value in row.values):
        columns = ":".join(column.upper() for column in row.spec.key)
        raise InvalidRow(f"a row of {row.spec.name} is named {row.spec.name}:{columns}")
    try:
        entity_key("", "", row.values)
    except (TypeError, ValueError):
        raise InvalidRow("the key holds something that is no value of a key") from None
    return row


def _value(text: str) -> object:
    if text.startswith(_BYTES):
        return {TAG: text.removeprefix(_BYTES)}
    return key_value(text.replace("%3A", ":").replace("%25", "%"))
