"""`examples:` of a table entry: what goes in and what must come out, read with every mistake and its line."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from models.example import EVENT_FIELDS, Buried, Dropped, Example, Expected, Published
from models.outcome import Failure
from models.short_form import DEFAULT_SCHEMA, DEFAULT_TIME, OPERATIONS, ShortForm, encode_record, record_of
from models.source_spec import Adapter
from models.sources import adapters
from models.strict_json import wire
from models.yaml_nodes import Reader, line_of, suggestion
from models.yaml_values import WRONG, value_of

SHORT_FIELDS = ("operation", "before", "after", "table", "schema", "at")
_ENDINGS = ("dropped", "dead")
_ENDING = re.compile(r"(dropped|dead):\s*(\w+)", re.ASCII)
_REASON = re.compile(r"[a-z_]+", re.ASCII)


class ExampleReader(Reader):
    """Reads the examples of one table."""

    def __init__(self, reader: Reader, table: str, schema: str | None, adapter: Adapter | None, key: tuple[str, ...]):
        """`table`, `schema`, `adapter` and `key` are those of the entry: what a short form does not say."""
        super().__init__(reader.problems)
        self.table = table
        self.schema = schema or DEFAULT_SCHEMA
        self.adapter = adapter
        self.key = key

    def examples(self, node: yaml.Node) -> tuple[Example, ...]:
        """Every example that could be read."""
        found = [self._example(item) for item in self.items(node, "examples")]
        return tuple(example for example in found if example is not None)

    def _example(self, node: yaml.Node) -> Example | None:
        given = self.fields(node, "examples", ["name", "in", "out"])
        if given is None:
            return None
        for field, why in (("in", "a record, or several"), ("out", "what becomes of the last one")):
            if field not in given:
                self.problems.at(node, f"an example needs `{field}`, {why}")
        name = self.text(given.get("name"), "examples.name")
        expected = self._expected(given["out"]) if "out" in given else None
        records = [self._record(item) for item in self.items(given["in"], "examples.in")] if "in" in given else []
        if "in" in given and not records:
            self.problems.at(given["in"], "examples.in is empty")
        read = tuple(record for record in records if record is not None)
        if expected is None or not read or len(read) != len(records):
            return None
        return Example(line_of(node), read, expected, name)

    def _record(self, node: yaml.Node) -> bytes | None:
        document = value_of(self, node, "examples.in")
        if document is WRONG:
            return None
        if not isinstance(document, dict):
            self.problems.at(node, "examples.in must be a record, or a short form of operation, before and after")
            return None
        if adapters.adapter_of(document) is not None or (
            self.adapter is not None and document.keys() - {*SHORT_FIELDS}
        ):
            return encode_record(document)
        if self.fields(node, "examples.in", SHORT_FIELDS) is None or document.keys() - {*SHORT_FIELDS}:
            return None
        return self._short(node, document)

    def _short(self, node: yaml.Node, document: Mapping[str, Any]) -> bytes | None:
        rows: dict[str, Mapping[str, Any] | None] = {}
        for image in ("before", "after"):
            row = document.get(image)
            if row is not None and not isinstance(row, dict):
                self.problems.at(node, f"examples.in.{image} must be a mapping of columns")
                return None
            rows[image] = row
        if rows["before"] is None and rows["after"] is None:
            self.problems.at(node, "examples.in needs `before` or `after`")
            return None
        word = document.get("operation")
        if word is None:
            word = "UPDATE" if None not in rows.values() else "INSERT" if rows["before"] is None else "DELETE"
        operation = next((known for known in OPERATIONS if known == word), None)
        if operation is None:
            self.problems.at(node, f"examples.in.operation: unknown word {word}{suggestion(str(word), OPERATIONS)}")
            return None
        if operation == "DELETE" and rows["before"] is None:
            rows = {"before": rows["after"], "after": None}
        texts = {name: str(document[name]) for name in ("table", "schema", "at") if document.get(name) is not None}
        short = ShortForm(
            operation, texts.get("table", self.table), texts.get("schema", self.schema), **rows,
            at=texts.get("at", DEFAULT_TIME),
        )  # fmt: skip
        try:
            return record_of(short, self.adapter or "dms", self.key)
        except ValueError as error:
            self.problems.at(node, f"examples.in: {error}")
            return None

    def _expected(self, node: yaml.Node) -> Expected | None:
        if isinstance(node, yaml.ScalarNode):
            found = _ENDING.fullmatch(str(node.value))
            if found is None:
                self.problems.at(node, "examples.out is fields of the event, `dropped: REASON` or `dead: CODE`")
                return None
            return self._ending(node, found[1], found[2])
        document = value_of(self, node, "examples.out")
        if document is WRONG or self.fields(node, "examples.out", (*EVENT_FIELDS, *_ENDINGS)) is None:
            return None
        for ending in _ENDINGS:
            if ending in document:
                if len(document) > 1:
                    self.problems.at(node, f"examples.out: `{ending}` stands alone, there is no event then")
                    return None
                return self._ending(node, ending, str(document[ending]))
        return Published(wire(document)) if document.keys() <= {*EVENT_FIELDS} else None

    def _ending(self, node: yaml.Node, ending: str, word: str) -> Expected | None:
        if ending == "dropped":
            if _REASON.fullmatch(word):
                return Dropped(word)
            self.problems.at(node, "examples.out: a reason is a word such as snapshot or filtered_where")
            return None
        codes = [failure.value for failure in Failure]
        if word in codes:
            return Buried(Failure(word))
        self.problems.at(node, f"examples.out: unknown code {word}{suggestion(word, codes)}")
        return None
