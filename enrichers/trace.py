"""What each step did with one record and by which rule, for people: names of columns, tables and rules, never a value
of the row (P6)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from enrichers.compiled import CompiledTable
from enrichers.content import Content
from enrichers.owner import ABSENT, Named, first_match
from enrichers.state import Effect, Memorize, Note, Observe, Pin, Remember, RowMemory
from models.change import Change, Control, SourceRow
from models.enrichment import Enrichment
from models.event import Event
from models.record_type import RecordTypeEnum
from models.tables import FromColumn, OwnerCase, Redaction, TableSpec

BUILT_IN = frozenset(kind.value for kind in RecordTypeEnum)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a sentence for people, the same as names for programs."""

    name: str
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Trace:
    """Everything the pipeline said of one record, and the record as it was understood."""

    steps: list[Step] = field(default_factory=list)
    decoded: SourceRow | Control | None = None
    change: Change | None = None
    owner: Enrichment | None = None
    changed: list[str] = field(default_factory=list)
    digest: str | None = None

    def append(self, step: tuple[str, str]) -> None:
        """A step that has no more to say than its sentence."""
        self.steps.append(Step(*step))

    def tell(self, name: str, text: str, **details: Any) -> None:
        """A step with details: JSON values."""
        self.steps.append(Step(name, text, details))

    def read(self, decoded: SourceRow | Control) -> None:
        """decode: whose format it is, what it says."""
        self.decoded = decoded
        if isinstance(decoded, Control):
            self.tell("decode", f"control record {decoded.operation}", control=decoded.operation)
            return
        images = "" if decoded.before is None else ", with a before image"
        self.tell(
            "decode", f"{decoded.adapter} {decoded.operation} of {decoded.place}{images}",
            adapter=decoded.adapter, operation=decoded.operation.value, place=decoded.place,
        )  # fmt: skip

    def validated(self, change: Change, spec: TableSpec, digest: str, *, twice: bool) -> None:
        """validate: which table's rules, which columns they do not name. `twice`: pydantic was asked, too."""
        self.change, self.digest = change, digest
        columns = change.after or change.before or {}
        unknown = sorted(columns.keys() - spec.known)
        count = f"{len(columns)} column{'' if len(columns) == 1 else 's'}"
        texts = [f"table {spec.name}, {count}, key {', '.join(spec.key)}"]
        if unknown:
            texts.append(f"no rule names {', '.join(unknown)} ({spec.unknown_columns})")
        if change.previous_keys is not None:
            texts.append("the key changed")
        if twice:
            texts.append("the row model agrees")
        self.tell(
            "validate", "; ".join(texts), table=spec.name, builtIn=spec.name in BUILT_IN, key=list(spec.key),
            unknown=unknown, keyChanged=change.previous_keys is not None, rowModel=twice,
        )  # fmt: skip

    def remembered(self, effects: Iterable[Effect]) -> None:
        """remember: what later records will find."""
        texts = [_effect(effect) for effect in effects]
        self.tell("remember", "; ".join(texts) or "nothing new", effects=texts)

    def owned(self, change: Change, spec: TableSpec, owner: Enrichment, memory: RowMemory | None) -> None:
        """owner: per id the case of the rule that decided, and where its value stood."""
        self.owner = owner
        rule = spec.owner
        if rule is None:
            self.tell("owner", "nobody: the table has no owner rule", source=owner.source, stale=owner.stale)
            return
        org = _why("org", rule.org, owner.org_id, memory.org_id if memory else None, change, owner)
        user = _why("user", rule.user, owner.user_id, memory.user_id if memory else None, change, owner)
        stale = "; the lookup is younger than the change" if owner.stale else ""
        self.tell("owner", f"{org}; {user}{stale}", source=owner.source, stale=owner.stale, org=org, user=user)

    def compared(self, changes: Mapping[str, Any], *, compared: bool) -> None:
        """diff: which columns changed."""
        self.changed = sorted(changes)
        text = ", ".join(self.changed) or "nothing changed"
        self.tell(
            "diff", text if compared else f"no before image, so all columns: {text}",
            changed=self.changed, compared=compared,
        )  # fmt: skip

    def transformed(self, changes: Mapping[str, Any], images: Mapping[str, Any], spec: TableSpec) -> None:
        """transform: column and rule."""
        there = {*changes, *(name for image in images.values() for name in image)}
        rules = {name: rule.value for name, rule in sorted(spec.transform.items()) if name in there}
        self.tell("transform", _listed(rules) or "nothing", rules=rules)

    def redacted(self, changes: Mapping[str, Any], content: Content, table: CompiledTable) -> None:
        """redact: column and rule."""
        spec = table.spec
        other = table.guarded.find if spec.unknown_columns == "publish" else lambda _: None
        ruled = {name: spec.redact.get(name) or spec.redact.get(other(name) or "") for name in content.redacted}
        rules = {name: _redaction(rule) for name, rule in ruled.items()}
        if spec.unknown_columns == "drop":
            rules |= dict.fromkeys(sorted(changes.keys() - spec.known), "left out (unknown column)")
        text = _listed(rules) or "nothing"
        self.tell("redact", text if table.redacts else f"{text}; redaction is off", rules=rules)

    def normalized(self, event: Event) -> None:
        """normalize: the event's names."""
        self.tell(
            "normalize", f"{event.event_type} {event.event_id}", eventType=event.event_type, eventId=event.event_id
        )


def _listed(rules: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {rule}" for name, rule in rules.items())


def _effect(effect: Effect) -> str:
    match effect:
        case Remember(lookup=lookup, entry=entry):
            return f"lookup {lookup}: entry {'removed' if entry is None else 'written'}"
        case Memorize(memory=memory):
            return f"memory of the row {'removed' if memory is None else 'written'}"
        case Pin(name=name, schema=schema):
            return f"{name} is pinned to schema {schema}"
        case Observe():
            return "columns of the table noted"
        case Note():
            return "change noted"
        case _:
            assert_never(effect)


def _redaction(rule: Redaction | None) -> str:
    if rule is None:
        return "FULL_MASK (unknown column)"
    options: list[str] = [rule.style] if rule.style != "text" else []
    options += [f"link group {rule.link_group}"] if rule.link_group else []
    options += ["exact value"] if rule.exact else []
    options += [f"unless {column} is {' or '.join(values)}" for column, values in rule.unless.items()]
    options += ["in free text"] if rule.patterns else []
    return f"{rule.action.value} ({', '.join(options)})" if options else rule.action.value


def _why(
    which: str, cases: tuple[OwnerCase, ...], found: str | None, remembered: str | None, change: Change,
    owner: Enrichment,
) -> str:  # fmt: skip
    """The search of `enrichers.owner` again, for the case that decided."""
    if not cases:
        return f"no {which} by rule"
    whole = {**(change.before or {}), **(change.after or {})}
    images: list[tuple[str, Mapping[str, Any], bool]] = []
    if change.after is not None:
        images.append(("the record", change.after, False))
    if change.before:
        images.append(("the before image", whole, False))
    images.append(("the record", whole, True))
    for place, image, absent_is_null in images:
        if absent_is_null and found is not None and found == remembered:
            break
        for case in cases:
            decided = first_match((case,), image, absent_is_null=absent_is_null)
            if decided is ABSENT:
                break
            if isinstance(decided, str):
                return f"{which} from {place}, {_case(case)}"
            if isinstance(decided, Named):
                return _looked_up(which, decided, found, remembered, owner)
        else:
            return f"no {which}: no case of the rule gives one"
    return f"{which} from the memory of the row" if found is not None else f"{which} missing: nothing knows it"


def _looked_up(which: str, named: Named, found: str | None, remembered: str | None, owner: Enrichment) -> str:
    if found is None:
        return f"{which} missing: not in {_case(named.case)}"
    if owner.source == "memory" and found == remembered:
        return f"{which} from the memory of the row"
    place = "the database" if owner.source == "database" else "the table"
    return f"{which} from {place}, {_case(named.case)}"


def _case(case: OwnerCase) -> str:
    where = f"column {case.column}" if isinstance(case, FromColumn) else f"lookup {case.lookup} by {case.by}"
    conditions = " and ".join(f"{name} is {wanted}" for name, wanted in case.when.items())
    return f"{where} (because {conditions})" if conditions else where
