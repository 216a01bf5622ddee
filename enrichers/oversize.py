"""What becomes of an event that is too large for its bus: less of it, one step after the other, until it fits.

The steps depend on the event and the settings alone, so the same record is the same bytes for every try and worker
(P3). A column of the key is never cut, and nothing that is not told: `metadata.truncatedFields` names the columns whose
texts are cut, `metadata.omittedFields` what is left out (docs/oversize.md).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any
from urllib.parse import quote

import msgspec

from models.sources.binary import TAG
from models.strict_json import encode

SHORTEST = 256
"""Characters that are left of a cut text at least. Hashes, tokens, codes and dates are shorter: they stay whole."""
IMAGES = ("after", "before")
ROWS = (*IMAGES, "changes")
"""Members of an event that hold values of the row."""
KEPT = (
    "changedFields", "detailType", "entityId", "entityType", "eventId", "eventType", "keys", "metadata", "operation",
    "orgId", "previousKeys", "table", "timestamp", "userId",
)  # fmt: skip
"""Members of an event that stands for the one in S3."""
MAX_ID = 200
"""Characters of an event id in a key; S3 takes 1,024 bytes of everything."""
_NUMBER = re.compile(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?")


class Step(StrEnum):
    """What may be tried, in this order."""

    IMAGES = "images"
    """Leave `before` and `after` out: `changes` says what has changed."""
    TRUNCATE = "truncate"
    """Cut the longest texts, all to one length."""
    CLAIM_CHECK = "claim-check"
    """The whole event stands in S3, and a small one refers to it."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """The steps that may be taken, and where whole events are kept. Without a bucket there is no claim check."""

    steps: frozenset[Step]
    bucket: str | None = None
    prefix: str = ""


NO_LADDER = Ladder(frozenset())
"""What is too large is a dead letter."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A whole event on its way to S3. The same event has the same key, another one never."""

    bucket: str
    key: str
    content: bytes

    @property
    def ref(self) -> str:
        """As `payloadRef` has it."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Fitted:
    """An event that fits, the step that made it so, and what must stand in S3 before it is sent."""

    detail: bytes
    step: Step
    claim: Claim | None = None


class _Text(str):
    """A text that may be cut."""

    __slots__ = ()


_Members = dict[str, Any]
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)


def fitted(value: bytes, limit: int, ladder: Ladder) -> Fitted | None:
    """The event in at most `limit` bytes, or None if no step that may be taken gets there. Values that are not cut
    keep their bytes. Raises ValueError if the event is no JSON object, RecursionError if it is nested too deep."""
    event: _Members = _object.decode(value)
    if Step.IMAGES in ladder.steps and (images := [name for name in IMAGES if name in event]):
        for name in images:
            del event[name]
        _omit(event, images)
        detail = encode(event)
        if len(detail) <= limit:
            return Fitted(detail, Step.IMAGES)
    if Step.TRUNCATE in ladder.steps and (cut := _cut(event, limit)) is not None:
        return Fitted(cut, Step.TRUNCATE)
    if Step.CLAIM_CHECK in ladder.steps and ladder.bucket is not None:
        return _claimed(value, limit, ladder.bucket, ladder.prefix)
    return None


def _metadata(event: Mapping[str, Any]) -> _Members:
    raw = event.get("metadata")
    return _object.decode(raw) if raw is not None and _begins(raw, b"{") else {}


def _name(event: _Members, member: str, names: Iterable[str]) -> None:
    """Add names to a list of `metadata`."""
    metadata = _metadata(event)
    known = msgspec.json.decode(metadata[member], type=list[str]) if member in metadata else []
    metadata[member] = msgspec.Raw(encode(sorted({*known, *names})))
    event["metadata"] = msgspec.Raw(encode(metadata))


def _omit(event: _Members, names: Iterable[str]) -> None:
    _name(event, "omittedFields", names)


# cutting texts


def _cut(event: _Members, limit: int) -> bytes | None:
    """The event with its longest texts cut to the greatest length that fits."""
    opened = dict(event)
    spared = _columns(event, "keys") | _columns(event, "previousKeys")
    texts: list[_Text] = []
    columns: set[str] = set()
    for member in ROWS:
        row = opened.get(member)
        if row is None or not _begins(row, b"{"):
            continue
        found = {name: raw if name in spared else _opened(raw) for name, raw in _object.decode(row).items()}
        opened[member] = found
        for name, tree in found.items():
            inside = list(_texts(tree))
            texts += inside
            columns |= {name} if inside else set()
    bare = opened | {member: _capped(opened[member], 0) for member in ROWS if isinstance(opened.get(member), dict)}
    _name(bare, "truncatedFields", columns)  # all of them: the room for their names is set aside
    length = _length(texts, limit - len(encode(bare)))
    if length is None:
        return None
    cut = {
        name
        for member in ROWS
        if isinstance(opened.get(member), dict)
        for name, tree in opened[member].items()
        if any(len(text) > length for text in _texts(tree))
    }
    _name(opened, "truncatedFields", cut)
    opened |= {member: _capped(opened[member], length) for member in ROWS if isinstance(opened.get(member), dict)}
    return encode(opened)


def _columns(event: Mapping[str, Any], member: str) -> set[str]:
    raw = event.get(member)
    return set(_object.decode(raw)) if raw is not None and _begins(raw, b"{") else set()


def _opened(raw: msgspec.Raw) -> Any:
    """The value with every text in it that may be cut; what is short stays as it came."""
    if len(memoryview(raw)) <= SHORTEST + 2:
        return raw
    if _begins(raw, b'"'):
        text = _text.decode(raw)
        return raw if len(text) <= SHORTEST or _NUMBER.fullmatch(text) else _Text(text)
    if _begins(raw, b"{"):
        members = _object.decode(raw)
        return raw if members.keys() == {TAG} else {name: _opened(item) for name, item in members.items()}
    return [_opened(item) for item in _list.decode(raw)] if _begins(raw, b"[") else raw


def _begins(raw: msgspec.Raw, mark: bytes) -> bool:
    return bytes(memoryview(raw)[:1]) == mark


def _texts(tree: Any) -> Iterator[_Text]:
    match tree:
        case _Text():
            yield tree
        case dict():
            for item in tree.values():
                yield from _texts(item)
        case list():
            for item in tree:
                yield from _texts(item)


def _capped(tree: Any, length: int) -> Any:
    match tree:
        case _Text():
            return str(tree[:length])
        case dict():
            return {name: _capped(item, length) for name, item in tree.items()}
        case list():
            return [_capped(item, length) for item in tree]
        case _:
            return tree


def _length(texts: Sequence[str], room: int) -> int | None:
    """The greatest number of characters such that all texts, cut to it, take at most `room` bytes in JSON, without
    their quotes. None if there is nothing to cut, or too little."""
    if not texts or not _fits(texts, SHORTEST, room):
        return None
    low, high = SHORTEST, max(map(len, texts))
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(texts, middle, room):
            low = middle
        else:
            high = middle - 1
    return low


def _fits(texts: Iterable[str], length: int, room: int) -> bool:
    for text in texts:
        room -= len(encode(text[:length])) - 2
        if room < 0:
            return False
    return True


# the claim check


def _claimed(value: bytes, limit: int, bucket: str, prefix: str) -> Fitted | None:
    event: _Members = _object.decode(value)
    claim = Claim(bucket, prefix + _key(event, value), value)
    small: _Members = {name: event[name] for name in KEPT if name in event}
    small |= {"changes": {}, "payloadRef": claim.ref}
    omitted = [name for name in ROWS if name in event]
    _omit(small, omitted)
    detail = encode(small)
    if len(detail) > limit:  # thousands of columns
        small["changedFields"] = []
        _omit(small, ["changedFields"])
        detail = encode(small)
    return Fitted(detail, Step.CLAIM_CHECK, claim) if len(detail) <= limit else None


def _key(event: Mapping[str, Any], value: bytes) -> str:
    """`2026/01/15/<event id>[.<replay>]-<16 hex of the content>.json`. A source that repeats a change may make two
    events of one id that differ: each has an object of its own."""
    event_id, day = (_text.decode(event[name]) for name in ("eventId", "timestamp"))
    metadata = _metadata(event)
    replay = f".{msgspec.json.decode(metadata['replay'])}" if "replay" in metadata else ""
    content = blake2b(value, digest_size=8).hexdigest()
    return f"{day[:10].replace('-', '/')}/{quote(event_id, safe='')[:MAX_ID]}{quote(replay, safe='.')}-{content}.json"
