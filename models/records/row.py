"""The root of row models: the columns of a table, their types and which of them may be null, in one place."""

from datetime import datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, NewType, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

from models.tables import ColumnType


class Row(BaseModel):
    """A row of a source table. Field names are ours, aliases are the columns; unknown columns are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)

    created_at: datetime | None = Field(None, alias="CreatedAt")
    updated_at: datetime | None = Field(None, alias="UpdatedAt")


JsonText = NewType("JsonText", str)
"""Text that holds a JSON document; compared parsed."""

_TYPES: dict[Any, ColumnType] = {
    int: ColumnType.INT,
    str: ColumnType.TEXT,
    bool: ColumnType.BOOL,
    datetime: ColumnType.TIMESTAMP,
    Decimal: ColumnType.DECIMAL,
    JsonText: ColumnType.JSON,
}


def columns_of(model: type[Row]) -> dict[str, ColumnType]:
    """Column -> type of a row model."""
    return {field.alias or name: _type_of(field.annotation) for name, field in model.model_fields.items()}


def _type_of(annotation: Any) -> ColumnType:
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not NoneType)
    return _TYPES[annotation]
