"""`tables.yaml`: reads table entries, extends built-in ones, and reports every mistake at once, each with its line."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from models.change import Operation
from models.event_bus import event_bus
from models.owner_reader import OwnerReader
from models.source_spec import ADAPTERS
from models.tables import (
    DETAIL_TYPE_STYLES,
    ColumnType,
    DetailTypeStyle,
    MissingOwner,
    Provides,
    TableSpec,
    Transformation,
)
from models.tables_examples import ExampleReader
from models.tables_redaction import read_redaction
from models.tables_rules import check_together
from models.where import InvalidExpression, parse
from models.yaml_nodes import InvalidFile, Problems, is_none, line_of, suggestion

MAX_WAIT_SECONDS = 300
WORDS = {"INSERT": Operation.CREATE, "UPDATE": Operation.UPDATE, "DELETE": Operation.DELETE}
_NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_WAIT = re.compile(r"wait:([0-9]{1,6})(ms|s|m)(?:,\s*(publish|dead))?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_MERGED = frozenset({"columns", "event_types", "redact", "transform"})
"""Mappings that extend a built-in's entry by entry, so that adding a rule never takes a redaction away (P6)."""
_OWN_FIELDS = frozenset(field.name for field in fields(TableSpec))
FIELDS = _OWN_FIELDS | {"extends"}


def extend(builtin: Iterable[TableSpec], path: Path) -> tuple[TableSpec, ...]:
    """Built-in tables with those of the file. Raises InvalidFile with all mistakes."""
    problems = Problems(path.name)
    specs = {spec.name: spec for spec in builtin}
    lines: dict[str, int] = {}
    reader = _TableReader(problems, specs)
    nodes = reader.entries(path, "tables", others=("detail_type_style",))
    style = reader.style(reader.root.get("detail_type_style"))
    for node in nodes:
        spec = reader.table(node)
        if spec is None:
            continue
        if spec.name in lines:
            problems.at(node, f"two tables have the name {spec.name}, the other on line {lines[spec.name]}")
            continue
        lines[spec.name] = line_of(node)
        specs[spec.name] = spec
    if style is not None:
        specs = {name: spec if name in reader.styled else replace(spec, detail_type_style=style)
                 for name, spec in specs.items()}  # fmt: skip
    for name, text in check_together(specs.values(), read_lookups=reader.lookups):
        problems.at(lines.get(name, 1), text)
    if problems.found:
        raise InvalidFile(problems.listed())
    return tuple(specs.values())


class _TableReader(OwnerReader):
    def __init__(self, problems: Problems, builtin: Mapping[str, TableSpec]) -> None:
        super().__init__(problems)
        self.builtin = dict(builtin)
        self.lookups: set[str] = set()
        """Every lookup an entry provides, also entries that have other mistakes."""
        self.styled: set[str] = set()
        """Tables with a `detail_type_style` of their own."""

    def table(self, node: yaml.Node) -> TableSpec | None:
        given = self.fields(node, "table", FIELDS)
        if given is None:
            return None
        table = self.text(given.get("table"), "table")
        if "table" not in given:
            self.problems.at(node, "a table needs `table`, its name in the source")
        name = self.text(given.get("name"), "name", _NAME) if "name" in given else table
        base = self._base(given.get("extends"), name)
        values = self._values(given)
        if base is None:
            values.update(self._needed(node, given, values))
        if table is None or name is None or (base is None and not {"entity", "key"} <= values.keys()):
            return None
        if not _NAME.fullmatch(name):
            self.problems.at(node, f"{table} needs a `name` of letters, digits, _ and -")
            return None
        if "detail_type_style" in values:
            self.styled.add(name)
        if base is None:
            values = {key: _without_none(value) for key, value in values.items()}
            spec = TableSpec(name=name, table=table, **values)
        else:
            for key in _MERGED & values.keys():
                values[key] = _without_none({**getattr(base, key), **values[key]})
            spec = replace(base, name=name, table=table, **values)
        return self._with_examples(spec, given.get("examples"))

    def style(self, node: yaml.Node | None) -> DetailTypeStyle | None:
        """The style of an entry, or of the file."""
        word = self.word(node, "detail_type_style", DETAIL_TYPE_STYLES)
        return next((style for style in DETAIL_TYPE_STYLES if style == word), None)

    def _with_examples(self, spec: TableSpec, node: yaml.Node | None) -> TableSpec:
        if node is None:
            return spec
        adapter = next((known for known in ADAPTERS if known == spec.adapter), None)
        reader = ExampleReader(self, spec.table, spec.schema, adapter, spec.key)
        return replace(spec, examples=() if is_none(node) else reader.examples(node))

    def _bus(self, node: yaml.Node | None) -> str | None:
        text = self.text(node, "bus")
        if node is None or text is None:
            return None
        try:
            return event_bus(text).text
        except ValueError as error:
            self.problems.at(node, f"bus: {error}")
            return None

    def _where(self, node: yaml.Node | None) -> str | None:
        text = self.text(node, "where")
        if node is None or text is None:
            return None
        try:
            parse(text)
        except InvalidExpression as error:
            self.problems.at(node, f"where: {error}")
            return None
        return text

    def _base(self, node: yaml.Node | None, name: str | None) -> TableSpec | None:
        if node is None:
            return self.builtin.get(name) if name is not None else None
        if is_none(node):
            return None
        wanted = self.text(node, "extends")
        if wanted is not None and wanted not in self.builtin:
            hint = suggestion(wanted, [*self.builtin, "none"])
            self.problems.at(node, f"extends: there is no built-in table {wanted}{hint}")
        return self.builtin.get(wanted) if wanted is not None else None

    def _needed(self, node: yaml.Node, given: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        for field, why in (("entity", "the prefix of its event types"), ("key", "its primary key columns")):
            if field not in given:
                self.problems.at(node, f"a table needs `{field}`, {why}")
        return {"owner": None} if "owner" not in values else {}

    def _values(self, given: Mapping[str, yaml.Node]) -> dict[str, Any]:
        """Every field but table and name, as TableSpec takes it; what could not be read is left out."""
        get = given.get
        operations = self._operations(get("operations"))
        required = self.texts(get("required"), "required")
        images = self.texts(get("images"), "images")
        for image in images or ():
            if image not in ("before", "after"):
                self.problems.at(given["images"], f"images: unknown word {image} (known: after, before)")
        found: dict[str, Any] = {
            "schema": self.text(get("schema"), "schema"),
            "adapter": self.word(get("adapter"), "adapter", ADAPTERS),
            "entity": self.text(get("entity"), "entity", _NAME),
            "key": self.texts(get("key"), "key"),
            "columns": self.each(get("columns"), "columns", lambda node, what: self.choice(node, what, ColumnType)),
            "required": None if required is None else frozenset(required),
            "operations": operations,
            "event_types": self._event_types(get("event_types")),
            "provides": self._provides(get("provides")),
            "redact": self.each(get("redact"), "redact", partial(read_redaction, self)),
            "transform": self.each(
                get("transform"), "transform", lambda node, what: self.choice(node, what, Transformation)
            ),
            "unknown_columns": self.word(get("unknown_columns"), "unknown_columns", ["mask", "publish", "drop"]),
            "include_fields": self.texts(get("include_fields"), "include_fields"),
            "on_missing_owner": self._missing_owner(get("on_missing_owner")),
            "publish_snapshots": self.flag(get("publish_snapshots"), "publish_snapshots"),
            "memory": self._memory(get("memory")),
            "duplicates": self.word(get("duplicates"), "duplicates", ["drop", "pass"]),
            "absent_columns": self.word(get("absent_columns"), "absent_columns", ["unchanged", "null"]),
            "images": None if images is None else frozenset(images),
            "detail_type_style": self.style(get("detail_type_style")),
            "bus": self._bus(get("bus")),
        }
        values = {name: value for name, value in found.items() if value is not None}
        if "owner" in given:
            values["owner"] = None if is_none(given["owner"]) else self.owner(given["owner"])
        if "where" in given:
            values["where"] = None if is_none(given["where"]) else self._where(given["where"])
        return values

    def _operations(self, node: yaml.Node | None) -> frozenset[Operation] | None:
        if node is None:
            return None
        words = [self.word(item, "operations", WORDS) for item in self.items(node, "operations")]
        return frozenset(WORDS[word] for word in words if word is not None)

    def _event_types(self, node: yaml.Node | None) -> dict[Operation, str | None] | None:
        found = self.each(node, "event_types", self.text)
        if node is None or found is None:
            return None
        for word in found.keys() - WORDS.keys():
            self.problems.at(node, f"event_types: unknown operation {word}{suggestion(word, WORDS)}")
        return {WORDS[word]: text for word, text in found.items() if word in WORDS}

    def _provides(self, node: yaml.Node | None) -> tuple[Provides, ...] | None:
        if node is None:
            return None
        if is_none(node):
            return ()
        found = []
        for item in self.items(node, "provides"):
            given = self.fields(item, "provides", ["lookup", "key", "org", "user", "query"]) or {}
            texts = {name: self.text(value, f"provides.{name}") for name, value in given.items()}
            lookup, key = texts.get("lookup"), texts.get("key")
            self.lookups.update([lookup] if lookup else [])
            if lookup is None or key is None:
                self.problems.at(item, "provides needs `lookup` and `key`")
                continue
            found.append(Provides(lookup, key, texts.get("org"), texts.get("user"), texts.get("query")))
        return tuple(found)

    def _missing_owner(self, node: yaml.Node | None) -> MissingOwner | None:
        text = self.text(node, "on_missing_owner")
        if node is None or text is None:
            return None
        if text in ("publish", "dead"):
            return MissingOwner(0.0, "dead" if text == "dead" else "publish")
        found = _WAIT.fullmatch(text)
        seconds = int(found[1]) * _SECONDS[found[2]] if found else 0.0
        if found is None or not 0 < seconds <= MAX_WAIT_SECONDS:
            self.problems.at(
                node, f"on_missing_owner: publish, dead, wait:30s or wait:30s,dead; at most {MAX_WAIT_SECONDS} s"
            )
            return None
        return MissingOwner(seconds, "dead" if found[3] == "dead" else "publish")

    def _memory(self, node: yaml.Node | None) -> bool | None:
        word = self.word(node, "memory", ["none", "owners"])
        return None if word is None else word == "owners"


def _without_none(value: Any) -> Any:
    return {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else value
