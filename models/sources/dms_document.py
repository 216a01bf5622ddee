"""A record of DMS as msgspec reads it: a struct of structs, the columns of a row as fields c0, c1, ….

Structs stand apart from what works with them, which may be compiled (docs/decisions/0065).
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from models.tables import ColumnType

_Text = str | None | UnsetType
_Scalar = str | int | None | UnsetType
TYPES: Mapping[ColumnType, Any] = {
    ColumnType.INT: int | None | UnsetType,
    ColumnType.TEXT: str | None | UnsetType,
    ColumnType.TIMESTAMP: str | None | UnsetType,
    ColumnType.BOOL: bool | int | None | UnsetType,
}
"""What needs no look afterwards if it is null or of this type. The others are looked at by `_CHECKED`."""


class Metadata(msgspec.Struct, rename="kebab", gc=False, forbid_unknown_fields=True):
    """Of a data record."""

    operation: str
    table_name: str
    record_type: str
    schema_name: _Text = UNSET
    timestamp: _Text = UNSET
    commit_timestamp: _Text = UNSET
    partition_key_type: _Scalar = UNSET
    partition_key_value: _Scalar = UNSET
    transaction_id: _Scalar = UNSET
    transaction_record_id: _Scalar = UNSET
    prev_transaction_id: _Scalar = UNSET
    prev_transaction_record_id: _Scalar = UNSET
    stream_position: _Scalar = UNSET


METADATA: Final = tuple(field.encode_name for field in msgspec.structs.fields(Metadata))
"""Names of its values in their order, as records have them."""
OPERATION: Final = 0
TABLE_NAME: Final = 1
RECORD_TYPE: Final = 2
SCHEMA_NAME: Final = 3
TIMESTAMP: Final = 4
COMMIT_TIMESTAMP: Final = 5
TRANSACTION_ID: Final = 8
TRANSACTION_RECORD_ID: Final = 9
STREAM_POSITION: Final = 12
"""Places of these values."""


def document_decoder(
    columns: Mapping[str, ColumnType], before: str, fraction: Callable[[str], Decimal]
) -> Callable[[bytes], Any]:  # fmt: skip
    """Of records whose rows have these columns and no others. `before`: the name of the image before; `fraction` reads
    numbers that are no integers. Its documents have `data`, `metadata` and `before`; it raises what msgspec raises, and
    what `fraction` raises."""
    row = msgspec.defstruct(
        "Row",
        [
            (f"c{place}", TYPES.get(kind, Any), msgspec.field(default=UNSET, name=name))
            for place, (name, kind) in enumerate(columns.items())
        ],
        gc=False,
        forbid_unknown_fields=True,
    )
    document = msgspec.defstruct(
        "Document",
        [
            ("data", row),
            ("metadata", Metadata),
            ("before", row | UnsetType | None, msgspec.field(default=UNSET, name=before)),
        ],
        gc=False,
        forbid_unknown_fields=True,
    )
    return msgspec.json.Decoder(document, float_hook=fraction).decode
