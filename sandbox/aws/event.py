"""A classic EventBridge event: what PutEvents accepts, and the envelope a target receives."""

import random
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from sandbox.aws.errors import AwsError
from sandbox.aws.fields import Body, moment, optional_text, texts
from sandbox.aws.place import Place

REQUIRED = ("Source", "DetailType", "Detail")
TIME_BYTES = 14  # what the size formula charges for a Time
LONGEST_DETAIL_TYPE = 128
DEEPEST_DETAIL = 1000
LONG_NUMBER = re.compile(r"\d{19}")
INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Event:
    """`fields` is the parsed form for patterns, `text` the whole envelope with the Detail text as it was sent.

    `time` in seconds since 1970: that of the entry, or of its arrival.
    """

    id: str
    time: float
    fields: dict[str, Any]
    text: str

    def replayed(self, name: str) -> "Event":
        """The same event as a replay of that name delivers it."""
        named = msgspec.json.encode(name).decode()
        return Event(
            self.id, self.time, self.fields | {"replay-name": name}, f'{self.text[:-1]},"replay-name":{named}}}'
        )


def entry_size(entry: Body) -> int:
    """Bytes by AWS's formula: 14 for a Time, and Source, DetailType, Detail and each Resource in UTF-8."""
    size = TIME_BYTES if entry.get("Time") is not None else 0
    for name in REQUIRED:
        value = entry.get(name)
        size += len(value.encode()) if isinstance(value, str) else 0
    return size + sum(len(resource.encode()) for resource in texts(entry, "Resources"))


def missing_fields(entry: Body) -> list[str]:
    return [name for name in REQUIRED if not optional_text(entry, name, shortest=0, longest=1 << 30)]


def read_event(entry: Body, place: Place, now: float) -> Event:
    """Raises AwsError with the code of the failed entry."""
    if missing := missing_fields(entry):
        raise _refused("InvalidArgument", missing[0], "it is required")
    source, detail_type, detail = (str(entry[name]) for name in REQUIRED)
    if len(detail_type) > LONGEST_DETAIL_TYPE:
        raise _refused("InvalidArgument", "DetailType", f"it is longer than {LONGEST_DETAIL_TYPE} characters")
    if source == "aws" or source.startswith("aws."):
        raise AwsError("NotAuthorizedForSourceException", "Sources that begin with aws. belong to AWS services.")
    parsed = _parse(detail)
    since = moment(entry, "Time")
    happened = now if since is None else since
    event_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
    fields: dict[str, Any] = {
        "version": "0",
        "id": event_id,
        "detail-type": detail_type,
        "source": source,
        "account": place.account,
        "time": _second(int(happened)),
        "region": place.region,
        "resources": texts(entry, "Resources"),
    }
    # Re-encoding the Detail would change its numbers and its order; the text goes through untouched.
    text = f'{msgspec.json.encode(fields).decode()[:-1]},"detail":{detail.strip()}}}'
    fields["detail"] = parsed
    return Event(event_id, happened, fields, text)


def _parse(detail: str) -> dict[str, Any]:
    """The Detail as an object whose integers fit 64 bits and whose nesting stays within 1000 levels."""
    try:
        parsed = msgspec.json.decode(detail)
    except (msgspec.DecodeError, RecursionError):
        raise AwsError("MalformedDetail", "Detail is malformed.") from None
    if not isinstance(parsed, dict):
        raise AwsError("MalformedDetail", "Detail is not a JSON object.")
    if detail.count("{") + detail.count("[") > DEEPEST_DETAIL and _depth(parsed) > DEEPEST_DETAIL:
        raise AwsError("MalformedDetail", f"Detail is nested deeper than {DEEPEST_DETAIL} levels.")
    if LONG_NUMBER.search(detail) and any(not -INT64 <= number < INT64 for number in _integers(parsed)):
        raise AwsError("MalformedDetail", "Detail has an integer that does not fit 64 bits.")
    return parsed


def _depth(value: Any) -> int:
    """Levels of nesting, without recursion."""
    deepest, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        deepest += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return deepest


def _integers(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _integers(item)


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refused(code: str, name: str, reason: str) -> AwsError:
    return AwsError(code, f"Parameter {name} is not valid. Reason: {reason}.")
