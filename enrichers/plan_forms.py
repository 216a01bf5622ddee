"""What a plan prepares of each operation, for the way in which a source names the table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from enrichers.frame import Frame
from enrichers.normalize import Stem
from enrichers.plan_columns import Word, words
from enrichers.second_opinion import SecondOpinion
from models.catalogue import Catalogue
from models.change import Operation
from models.sources import dms
from models.sources.dms_document import OPERATION, RECORD_TYPE, SCHEMA_NAME, TABLE_NAME
from models.sources.plain_objects import Values
from models.tables import TableSpec

MAX_FORMS: Final = 64
"""A schema's and a table's name may be written in several ways."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What a plan takes from its pipeline."""

    catalogue: Catalogue
    second: SecondOpinion
    service: str
    environment: str
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Form:
    """An operation on the table of one source."""

    source: str
    schema: str
    table: str
    """As records have them."""
    word: Word
    creates: bool
    needs: tuple[int, ...]
    """Columns its rows must have, not null, their key among them."""
    frame: Frame
    stem: Stem


class Forms:
    """Those of one table."""

    def __init__(self, spec: TableSpec, places: Mapping[str, int], options: PlanOptions) -> None:
        """`places`: of the columns in the plan's rows."""
        self._spec = spec
        self._options = options
        self._keys = frozenset(places[name] for name in spec.key)
        self._words = words(spec, places)
        self._latest: dict[str, Form] = {}
        """By operation; mostly the next record is like it."""
        self._forms: dict[tuple[str, str, str, str], Form] = {}
        """By source, operation, schema and table."""

    def of(self, source: str, metadata: Values) -> Form | None:
        """None: the record is not of this table, or of another kind."""
        operation = metadata[OPERATION]
        schema, table = metadata[SCHEMA_NAME], metadata[TABLE_NAME]
        if metadata[RECORD_TYPE] != "data" or type(schema) is not str:
            return None
        form = self._latest.get(operation)
        if form is not None and schema == form.schema and table == form.table and source == form.source:
            return form
        place = (source, operation, schema, table)
        form = self._forms.get(place) or self._made(*place)
        if form is not None:
            self._latest[operation] = form
        return form

    def _made(self, source: str, operation: str, schema: str, table: str) -> Form | None:
        options, spec, word = self._options, self._spec, self._words.get(operation)
        if word is None or options.catalogue.first(dms.ADAPTER, schema, table) is not spec:
            return None
        frame = Frame(
            spec, word.operation, dms.ADAPTER, schema, table,
            service=options.service, environment=options.environment, snapshot=word.snapshot,
        )  # fmt: skip
        form = Form(
            source, schema, table, word, word.operation is Operation.CREATE, tuple(self._keys.union(word.required)),
            frame, Stem(source, spec.name, word.operation, schema),
        )  # fmt: skip
        if len(self._forms) < MAX_FORMS:
            self._forms[source, operation, schema, table] = form
        return form
