"""DynamoDB records in every shape Kinesis Data Streams for DynamoDB sends them."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.change import Operation, SourceRow
from models.outcome import Dead, Failure
from models.sources import adapters, dms, dynamodb
from models.sources.binary import tagged
from models.sources.dynamodb import decode
from models.strict_json import decode as decode_json
from tests.unit.changes import USER
from tests.unit.changes import dms as dms_record

CREATED_US = 1_720_740_233_012_995
LEAVES: list[Any] = [
    {"S": "a"}, {"S": ""}, {"N": "7"}, {"N": "-1E-130"}, {"B": "aGk="}, {"BOOL": True}, {"NULL": True},
    {"SS": ["b", "a"]}, {"NS": ["2", "1.50"]}, {"BS": ["eA==", "aGk="]}, {}, {"N": "x"}, {"S": 1}, {"NULL": False},
    {"NS": ["x"]}, {"SS": 7}, {"what": 1}, {"S": "a", "N": "1"}, 7, None,
]  # fmt: skip
NAMES = st.sampled_from(["a", "order_id", "", "ä"])
TYPED: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"L": st.lists(inner, max_size=2)}),
        st.fixed_dictionaries({"M": st.dictionaries(NAMES, inner, max_size=2)}),
    ),
    max_leaves=4,
)
IMAGES = st.one_of(st.none(), st.just(7), st.dictionaries(NAMES, TYPED, max_size=2))
EVENTS = st.fixed_dictionaries(
    {"eventSource": st.just("aws:dynamodb")},
    optional={
        "eventName": st.sampled_from(["INSERT", "MODIFY", "REMOVE", "modify", "", None, 3]),
        "tableName": st.sampled_from(["orders", "", None, 3]),
        "eventID": st.sampled_from(["b015b5f0", "", None, 3]),
        "dynamodb": st.fixed_dictionaries({}, optional={
            "Keys": IMAGES, "NewImage": IMAGES, "OldImage": IMAGES,
            "ApproximateCreationDateTime": st.sampled_from([None, 0, -1, 10**40, 1.5, "now", True, CREATED_US]),
            "ApproximateCreationDateTimePrecision": st.sampled_from(["MICROSECOND", "MILLISECOND", "SECOND", None, 3]),
        }),
    },
)  # fmt: skip


def typed(value: Any) -> Any:
    if value is None:
        return {"NULL": True}
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def event(
    name: str = "MODIFY", new: dict[str, Any] | None = None, old: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A record as it was captured, about table orders with key `order_id`; values of images are plain or typed."""
    images = {"NewImage": new, "OldImage": old}
    return {
        "awsRegion": "us-east-1", "eventID": "b015b5f0-c095-4b50-8ad0-4279aa3d88c6", "eventName": name,
        "userIdentity": None, "recordFormat": "application/json", "tableName": "orders", "eventSource": "aws:dynamodb",
        "dynamodb": {
            "ApproximateCreationDateTime": CREATED_US, "Keys": {"order_id": {"N": "7"}}, "SizeBytes": 99,
            "ApproximateCreationDateTimePrecision": "MICROSECOND",
            **{
                image: {column: value if isinstance(value, dict) else typed(value) for column, value in row.items()}
                for image, row in images.items() if row is not None
            },
            **more,
        },
    }  # fmt: skip


def read(document: dict[str, Any]) -> SourceRow:
    found = decode(document)
    assert isinstance(found, SourceRow), found
    return found


def dead(document: Any) -> str:
    found = decode(document)
    assert isinstance(found, Dead), found
    return found.reason


def value(given: Any) -> Any:
    row = read(event("INSERT", {"a": given})).row
    return (row or {})["a"]


@pytest.mark.parametrize(
    ("name", "operation"),
    [("INSERT", Operation.CREATE), ("MODIFY", Operation.UPDATE), ("REMOVE", Operation.DELETE),
     ("modify", Operation.UNKNOWN), ("EXPIRE", Operation.UNKNOWN)],
)  # fmt: skip
def test_every_operation_is_known_or_unknown(name: str, operation: Operation) -> None:
    assert read(event(name, {"a": 1}, {"a": 0})).operation is operation


def test_an_update_has_both_images_each_with_the_key() -> None:
    row = read(event("MODIFY", {"status": "paid"}, {"status": "new"}))
    assert (row.row, row.before) == ({"order_id": 7, "status": "paid"}, {"order_id": 7, "status": "new"})
    assert (row.adapter, row.schema, row.table) == ("dynamodb", "", "orders")


def test_an_insert_has_no_before_image_and_a_delete_is_its_last_one() -> None:
    assert read(event("INSERT", {"status": "new"})).before is None
    row = read(event("REMOVE", old={"status": "paid"}))
    assert row.row == {"order_id": 7, "status": "paid"}


def test_a_delete_that_carries_only_its_key_is_a_delete() -> None:
    row = read(event("REMOVE"))
    assert (row.row, row.before, row.operation) == ({"order_id": 7}, None, Operation.DELETE)


def test_a_row_that_expired_is_a_delete_like_any_other() -> None:
    expired = event("REMOVE", old={"status": "paid"})
    expired["userIdentity"] = {"principalId": "dynamodb.amazonaws.com", "type": "Service"}
    assert read(expired) == read(event("REMOVE", old={"status": "paid"}))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"N": "7"}, 7),
        ({"N": 7}, 7),
        ({"N": Decimal("0.34")}, Decimal("0.34")),
        ({"NS": [3, 1, "2"]}, [1, 2, 3]),
        ({"S": None}, None),
        ({"N": "7.00"}, 7),
        ({"N": "1E+3"}, 1_000),
        ({"N": "2.50"}, Decimal("2.50")),
        ({"N": "1E-130"}, Decimal("1E-130")),
        ({"N": "9." + "9" * 37 + "E+125"}, int("9" * 38 + "0" * 88)),
        ({"N": "18446744073709551616"}, 2**64),
        ({"S": ""}, ""),
        ({"BOOL": False}, False),
        ({"NULL": True}, None),
        ({"B": "aGk="}, tagged("aGk=")),
        ({"SS": ["b", "a"]}, ["a", "b"]),
        ({"NS": ["10", "9", "2.5"]}, [Decimal("2.5"), 9, 10]),
        ({"BS": ["eA==", "aGk="]}, [tagged("aGk="), tagged("eA==")]),
        ({"L": [{"NULL": True}, {"M": {"x": {"N": "1"}}}]}, [None, {"x": 1}]),
        ({"M": {}}, {}),
    ],
)  # fmt: skip
def test_typed_values_are_read_exactly(given: Any, expected: Any) -> None:
    found = value(given)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "given",
    [{}, {"S": "a", "N": "1"}, {"N": True}, {"N": "seven"}, {"N": "NaN"}, {"N": "1E+999"}, {"N": "7" * 61}, {"X": None},
     {"B": "not base64"}, {"B": 7}, {"BS": ["="]},
     {"NULL": False}, {"BOOL": "true"}, {"SS": ["a", 1]}, {"L": [{}]}, {"L": {}}, {"M": {"x": 1}}, {"M": []}, {"X": 1}],
)  # fmt: skip
def test_what_is_no_typed_value_is_dead_by_the_name_of_its_column_alone(given: Any) -> None:
    assert dead(event("INSERT", {"Email": given})) == "attribute Email is no typed value of DynamoDB"


@pytest.mark.parametrize(
    ("moment", "precision", "committed"),
    [
        (CREATED_US, "MICROSECOND", "2024-07-11T23:23:53.012995+00:00"),
        (CREATED_US // 1_000, "MILLISECOND", "2024-07-11T23:23:53.012000+00:00"),
        (CREATED_US // 1_000, ..., "2024-07-11T23:23:53.012000+00:00"),
        (CREATED_US // 1_000_000, ..., "2024-07-11T23:23:53.000000+00:00"),
        (Decimal("1.720740233E9"), ..., "2024-07-11T23:23:53.000000+00:00"),
        (Decimal("1.720740233012995E15"), "MICROSECOND", "2024-07-11T23:23:53.012995+00:00"),
        (None, "MICROSECOND", None),
    ],
)
def test_times_count_in_milliseconds_unless_the_record_says_microseconds_or_they_are_of_dynamodb_streams(
    moment: Any, precision: Any, committed: str | None
) -> None:
    record = event("INSERT", {"a": 1}, ApproximateCreationDateTime=moment)
    if precision is ...:
        del record["dynamodb"]["ApproximateCreationDateTimePrecision"]
    else:
        record["dynamodb"]["ApproximateCreationDateTimePrecision"] = precision
    assert read(record).committed_at == committed


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"ApproximateCreationDateTimePrecision": "SECOND"}, "ApproximateCreationDateTimePrecision is unknown"),
        ({"ApproximateCreationDateTime": -1}, "ApproximateCreationDateTime is no time since 1970"),
        ({"ApproximateCreationDateTime": Decimal("0.5")}, "ApproximateCreationDateTime is no time since 1970"),
        ({"ApproximateCreationDateTime": 10**30}, "ApproximateCreationDateTime is no time since 1970"),
        ({"ApproximateCreationDateTime": True}, "ApproximateCreationDateTime is no time since 1970"),
        ({"Keys": []}, "dynamodb.Keys is not an object"),
        ({"NewImage": "x"}, "dynamodb.NewImage is not an object"),
    ],
)
def test_a_record_that_makes_no_sense_is_dead_with_a_reason(more: dict[str, Any], reason: str) -> None:
    assert dead(event("INSERT", None, **more)) == reason


def test_what_is_no_record_of_dynamodb_is_dead() -> None:
    assert dead([]) == "not a JSON object"
    assert dead({"eventSource": "aws:dynamodb"}) == "no dynamodb object: not a record of DynamoDB"
    assert dead(event("INSERT", {"a": 1}) | {"tableName": ""}) == "tableName is missing"


@given(EVENTS)
def test_no_document_raises(document: dict[str, Any]) -> None:
    found = adapters.decode(decode_json(json.dumps(document, default=str).encode()))
    assert isinstance(found, SourceRow) or found.failure in (Failure.PARSE_ERROR, Failure.VALIDATION_ERROR)  # type: ignore[union-attr]


def test_each_record_tells_whose_it_is_unless_its_source_is_fixed() -> None:
    ours, theirs = event("INSERT", {"a": 1}), json.loads(dms_record("insert", USER))
    assert (adapters.adapter_of(ours), adapters.adapter_of(theirs)) == (dynamodb.ADAPTER, dms.ADAPTER)
    assert adapters.adapter_of([]) is adapters.adapter_of({}) is None
    assert adapters.decode(ours) == adapters.decode(ours, "dynamodb") == decode(ours)
    assert adapters.decode(ours, "a later release's") == decode(ours)
    assert isinstance(adapters.decode(ours, "dms"), Dead)
