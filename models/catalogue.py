"""The catalogue: every table the worker knows, built in or from `tables.yaml`, found by what a record says."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from models.exact_values import resolved
from models.records.call_center import (
    AVAILABILITY_LOG,
    CALL_CENTER_AGENTS,
    CALL_CENTER_QUEUES,
    CALL_STATUS,
    GROUP_MAPS_LOG,
)
from models.records.identity import GROUPS, ORGS, USER_SCOPES, USERS
from models.records.telephony import CHANNELS, POOL, PROFILES
from models.strict_json import encode
from models.tables import TableSpec
from models.tables_file import extend

TELEPHONY: tuple[TableSpec, ...] = (
    USERS, ORGS, GROUPS, USER_SCOPES, PROFILES, CHANNELS, POOL, CALL_STATUS, CALL_CENTER_AGENTS, CALL_CENTER_QUEUES,
    AVAILABILITY_LOG, GROUP_MAPS_LOG,
)  # fmt: skip
"""The built-in tables; a new one is added here and nowhere else."""

Pins = Callable[[str], str | None]
"""Spec name -> the schema it was first seen with."""


def no_pins(_: str) -> None:
    """For routing: any schema will do, its name is part of the key."""


class Catalogue:
    """Finds the spec of a record. Answers are remembered, so that the hot path is one dictionary look-up."""

    MAX_REMEMBERED = 10_000

    def __init__(self, specs: Iterable[TableSpec]) -> None:
        self.specs = resolved(specs)
        self._by_name = {spec.name: spec for spec in self.specs}
        self._providers = {rule.lookup: spec for spec in self.specs for rule in spec.provides}
        self._remembered: dict[tuple[str | None, str, str], tuple[TableSpec, ...]] = {}
        self.fingerprint = fingerprint(self.specs)

    def match(self, adapter: str | None, schema: str, table: str, pins: Pins = no_pins) -> TableSpec | None:
        """The spec of a table, or None. A spec without schema serves the schema that is pinned, else any."""
        for spec in self._fitting(adapter, schema, table):
            if spec.schema is not None:
                return spec
            pinned = pins(spec.name)
            if pinned is None or pinned == schema:
                return spec
        return None

    def first(self, adapter: str | None, schema: str, table: str) -> TableSpec | None:
        """The spec that `match` asks first, whatever is pinned."""
        return next(iter(self._fitting(adapter, schema, table)), None)

    def named(self, name: str) -> TableSpec | None:
        """The spec of that name."""
        return self._by_name.get(name)

    def lookup_provider(self, lookup: str) -> TableSpec:
        """The table that feeds a lookup. Raises KeyError; the loader refuses lookups nobody feeds."""
        return self._providers[lookup]

    @property
    def lookups(self) -> tuple[str, ...]:
        """Names of all lookups, each fed by one table."""
        return tuple(self._providers)

    @property
    def needs_redaction_key(self) -> bool:
        """True if any rule hashes or tokenizes: a worker without the key would have to stop at the first value."""
        return any(rule.action.keyed for spec in self.specs for rule in spec.redact.values())

    def _fitting(self, adapter: str | None, schema: str, table: str) -> tuple[TableSpec, ...]:
        asked = (adapter, schema, table)
        candidates = self._remembered.get(asked)
        if candidates is None:
            candidates = self._candidates(*asked)
            if len(self._remembered) < self.MAX_REMEMBERED:
                self._remembered[asked] = candidates
        return candidates

    def _candidates(self, adapter: str | None, schema: str, table: str) -> tuple[TableSpec, ...]:
        """Specs that fit, best first: exact spelling before folded, one schema before any, one adapter before any."""
        fitting = [
            spec
            for spec in self.specs
            if (adapter is None or spec.adapter in (None, adapter))
            and spec.table.lower() == table.lower()
            and (spec.schema is None or spec.schema.lower() == schema.lower())
        ]
        exact = [spec for spec in fitting if spec.table == table]
        if not exact and len({spec.table for spec in fitting}) > 1:
            return ()  # `Users` and `users` are both known and this is `USERS`: not for us to guess
        ranked = exact or fitting
        return tuple(
            sorted(ranked, key=lambda spec: (spec.schema is None, spec.schema != schema, spec.adapter is None))
        )


def load_catalogue(builtin: Literal["telephony", "none"], tables_file: Path | None) -> Catalogue:
    """Built-in tables, extended by a file. Raises InvalidFile with all mistakes at once."""
    specs = TELEPHONY if builtin == "telephony" else ()
    if tables_file is None:
        return Catalogue(specs)

    return Catalogue(extend(specs, tables_file))


def fingerprint(specs: Iterable[TableSpec]) -> str:
    """16 hex digits that change if anything about any table changes."""
    return blake2b(encode([_plain(spec) for spec in specs]), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(str(item) for item in value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        plain = {field.name: _plain(getattr(value, field.name)) for field in fields(value) if field.compare}
        if plain.get("exact", ...) is None:  # came later: says nothing of tables that are hashed as they were before
            del plain["exact"]
        return {"is": type(value).__name__, **plain}
    return value
