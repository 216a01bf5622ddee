"""Why a change has the owner it has: the search of `enrichers.owner` once more, with what each place said.

The places are asked now. A lookup or the memory of a row may have said something else when the event was made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from enrichers.owner import ABSENT, Found, Named, Nowhere, Search
from enrichers.row_view import MASK, RowView
from enrichers.state import Answer, LookupEntry, RowMemory, State
from models.change import Change, Row
from models.routing import key_text
from models.tables import FromColumn, OwnerCase, OwnerRule, TableSpec

Which = Literal["org", "user"]
ORDER = ("record", "before", "memory", "table", "database")
"""Places in the order of the search."""


@dataclass(frozen=True, slots=True)
class Said:
    """One place. `value`: the id it gave, as events carry it; None if it gave none."""

    place: str
    text: str
    value: str | None = None
    decided: bool = False

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {"place": self.place, "said": self.text, "value": self.value, "decided": self.decided}


@dataclass(frozen=True, slots=True)
class Explanation:
    """The search for one id."""

    which: Which
    places: tuple[Said, ...]
    value: str | None
    source: str
    stale: bool = False

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "id": "orgId" if self.which == "org" else "userId", "value": self.value, "source": self.source,
            "stale": self.stale, "places": [said.document() for said in self.places],
        }  # fmt: skip


def explain_owner(
    change: Change, spec: TableSpec, view: RowView, state: State, memory: RowMemory | None
) -> tuple[Explanation, Explanation]:
    """Both ids. Names of columns, tables and rules as they are; ids and keys as events carry them (P6)."""
    rule = spec.owner or OwnerRule()
    org = _Explained(change, spec, view, state, "org").explain(rule.org, memory.org_id if memory else None)
    user = _Explained(change, spec, view, state, "user").explain(rule.user, memory.user_id if memory else None)
    return org, user


class _Explained(Search):
    def __init__(self, change: Change, spec: TableSpec, view: RowView, state: State, which: Which) -> None:
        super().__init__(change, spec, view.catalogue, state, ask=True)
        self.view = view
        self.which: Which = which
        self.said: dict[str, tuple[str, str | None]] = {}
        """Place -> what it said, and the id it gave."""

    def explain(self, cases: tuple[OwnerCase, ...], remembered: str | None) -> Explanation:
        if not cases:
            return Explanation(self.which, (), None, "no rule")
        result = self.id_of(cases, remembered)
        decided = result.source if isinstance(result, Found) else None
        self._of_memory(remembered, decided)
        self.said.setdefault("record", ("the record has no row image", None))
        self.said.setdefault("before", ("not asked" if decided == "record" else "the record has no before image", None))
        for place in ("table", "database"):
            self.said.setdefault(place, ("not asked", None))
        places = tuple(Said(place, *self.said[place], decided=place == decided) for place in ORDER)
        match result:
            case Found(value=value, source=source, stale=stale):
                return Explanation(self.which, places, self._shown(value), source, stale)
            case Nowhere():
                return Explanation(self.which, places, None, "missing")

    def heard(self, place: str, found: object, cases: tuple[OwnerCase, ...], image: Row) -> None:
        text, value = self._image(found, cases, image, absent_is_null=place not in ORDER)
        if place in ORDER:
            self.said[place] = text, value
        else:
            before, _ = self.said.get("record", ("the record has no row image", None))
            self.said["record"] = f"{before}; {place}: {text}", value

    def look_up(self, named: Named) -> Found | Nowhere:
        result = super().look_up(named)
        lookup, row = named.case.lookup, self._row(named)
        if isinstance(result, Found) and result.source == "table":
            younger = ", and is younger than the change" if result.stale else ""
            given = "gives" if result.value is not None else "has an entry without that id for"
            self.said["table"] = f"{lookup} {given} {row}{younger}", self._shown(result.value)
        else:
            self.said["table"] = f"{lookup} has no entry for {row}", None
        return result

    def look_further(self, named: Named, schema: str) -> Found | Nowhere:
        row = self._row(named)
        match said := self.state.database(named.case.lookup, schema, key_text(named.value)):
            case LookupEntry():
                value = said.org_id if named.case.take == "org" else said.user_id
                self.said["database"] = f"it has {row}", self._shown(value)
            case Answer.UNASKED:  # an explanation asks nobody outside: that is for workers, whose answers count
                self.said["database"] = "not asked here; a worker asks it for what the lookup lacks", None
            case Answer():
                self.said["database"] = said.value, None
        return super().look_further(named, schema)

    def _of_memory(self, remembered: str | None, decided: str | None) -> None:
        if not self.spec.memory:
            text = "rows of this table have no memory"
        elif remembered is None:
            text = "nothing is remembered of this row"
        elif decided in ("record", "before"):
            text = "not asked"
        elif decided == "memory":
            text = "the owner the row had before"
        else:
            text = "passed over: the row itself names whom to look up"
        self.said["memory"] = text, self._shown(remembered)

    def _image(
        self, found: object, cases: tuple[OwnerCase, ...], image: Mapping[str, Any], *, absent_is_null: bool
    ) -> tuple[str, str | None]:  # fmt: skip
        if found is ABSENT:
            columns = {_column(case) for case in cases} | {name for case in cases for name in case.when}
            return f"lacks {', '.join(sorted(columns - image.keys()))}, which the rule asks for", None
        if isinstance(found, Named):
            return f"column {found.case.by} names {self._row(found)}, to be looked up in {found.case.lookup}", None
        if isinstance(found, str):
            held = (_column(c) for c in cases if isinstance(c, FromColumn) and _text(image.get(c.column)) == found)
            return f"column {next(held, '?')}", self._shown(found)
        return f"no case of the rule gives an id ({', '.join(dict.fromkeys(map(_column, cases)))})", None

    def _row(self, named: Named) -> str:
        return self.view.key(self.catalogue.lookup_provider(named.case.lookup), [named.value])

    def _shown(self, value: str | None) -> str | None:
        if value is None:
            return None
        org, user = self.view.owner(self.spec, value, value)
        return (org if self.which == "org" else user) or MASK


def _column(case: OwnerCase) -> str:
    return case.column if isinstance(case, FromColumn) else case.by


def _text(value: object) -> str | None:
    return None if value is None or isinstance(value, list | dict) else key_text(value)
