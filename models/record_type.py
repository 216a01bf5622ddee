"""The kinds of records, and what pydantic says of their rows: the second opinion of `CDC_VALIDATE`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ValidationError

from models.change import Operation, Row, SourceRow
from models.records.images import image_of
from models.tables import TableSpec, spellings


class RecordTypeEnum(StrEnum):
    """The built-in record types, by the name of their table."""

    USERS = "users"
    ORGS = "orgs"
    GROUPS = "groups"
    USER_SCOPES = "user_scopes"
    PROFILES = "profiles"
    CHANNELS = "channels"
    POOL = "pool"
    CALL_STATUS = "call_status"
    CALL_CENTER_AGENTS = "call_center_agents"
    CALL_CENTER_QUEUES = "call_center_queues"
    AVAILABILITY_LOG = "availability_log"
    GROUP_MAPS_LOG = "group_maps_log"


class RecordType(ABC):
    """One kind of records. Asked beside the compiled checks, never instead of them."""

    @abstractmethod
    def refusal(self, source: SourceRow) -> str | None:
        """Why the images of this record are no rows of the table, None if they are. Names columns, no values (P6)."""


class TableRecord(RecordType):
    """Records of a table as its spec declares them, built in or from `tables.yaml`."""

    def __init__(self, spec: TableSpec) -> None:
        name = f"{spec.name}_image"
        self.spec = spec
        self._image = image_of(name, spec.columns)
        self._row = image_of(name, spec.columns, keys=spec.key)
        self._new_row = image_of(name, spec.columns, keys=spec.key, needed=spec.required)
        self._key = image_of(name, {}, keys=spec.key)

    def refusal(self, source: SourceRow) -> str | None:
        """See RecordType."""
        row, before = (self._spelled(image) for image in (source.row, source.before))
        match source.operation:
            case Operation.CREATE:
                wanted = [(self._new_row, row or {}), (self._image, before or {})]
            case Operation.UPDATE:
                wanted = [(self._row, row or {}), (self._image, before or {})]
            case Operation.DELETE:
                last = {**(before or {}), **{name: value for name, value in (row or {}).items() if value is not None}}
                wanted = [(self._image, row or {}), (self._image, before or {}), (self._key, last)]
            case Operation.UNKNOWN:
                return "unknown operation"
        if row is None and source.operation is not Operation.DELETE:
            return "data is missing"
        return next((text for model, image in wanted if (text := refusal_of(model, image)) is not None), None)

    def _spelled(self, row: Row | None) -> dict[str, Any] | None:
        if row is None:
            return None
        names = tuple(row)
        known = spellings(self.spec, names)
        return {
            name if column is None else column: value
            for name, column, value in zip(names, known, row.values(), strict=True)
        }


def refusal_of(model: type[BaseModel], content: Mapping[str, Any] | bytes) -> str | None:
    """What pydantic has against a document (JSON, if bytes): place and kind of the first mistake, never a value."""
    try:
        if isinstance(content, bytes):
            model.model_validate_json(content)
        else:
            model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = first["loc"][0] if not isinstance(content, bytes) else ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['type']}" if place else str(first["type"])
    return None
