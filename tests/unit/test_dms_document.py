"""The metadata of a DMS record by place."""

import pytest

from models.sources import dms_document
from models.sources.dms_document import METADATA


@pytest.mark.parametrize(
    "name",
    ["operation", "table-name", "record-type", "schema-name", "timestamp", "commit-timestamp", "transaction-id",
     "transaction-record-id", "stream-position"],
)  # fmt: skip
def test_a_value_stands_where_its_place_says(name: str) -> None:
    place = getattr(dms_document, name.upper().replace("-", "_"))
    assert METADATA[place] == name
