"""Normalize: the event envelope, the same bytes for the same raw record whenever and wherever it is made."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import UNSET

from enrichers.compiled import CompiledTable
from enrichers.content import Content
from enrichers.detail import Extras
from enrichers.frame import Frame
from enrichers.transform import iso
from models.change import Change, Operation
from models.enrichment import Enrichment
from models.event import Event
from models.raw import RawRecord
from models.routing import key_text
from models.sources.binary import is_tagged
from models.strict_json import wire

_encode: Final = msgspec.json.Encoder(order="sorted").encode


def change_digest(change: Change, table: CompiledTable, record: RawRecord) -> str:
    """20 hex digits that name the change: the same for every delivery of it, different for any other.

    The source's own identity if it gives one, else the position in the stream; for plain files (no stream) their
    position and the bytes. A redacted key takes no part: its hash would let anybody try values (P6). An identity that
    is unique only together with the key does not serve then.
    """
    if change.identity is not None and not (change.identity_needs_key and table.key_is_redacted):
        identity: list[Any] = ["change", *change.identity]
    else:
        identity = position_of(record)
    keys = None if table.key_is_redacted else [_key_part(value) for value in change.keys.values()]
    return digest_of(record.source, change.name, change.operation, change.schema, keys, identity)


def digest_of(
    source: str, name: str, operation: Operation, schema: str, keys: list[Any] | None, identity: Sequence[Any]
) -> str:
    """The same from its parts."""
    return Stem(source, name, operation, schema).digest(keys, identity)


class Stem:
    """What the changes of one operation of one table have in common, digested once."""

    __slots__ = ("_begun",)

    def __init__(self, source: str, name: str, operation: Operation, schema: str) -> None:
        """As `digest_of`."""
        common = _encode([source, name, operation.value, schema])
        self._begun = blake2b(common[:-1] + b",", digest_size=10)

    def digest(self, keys: list[Any] | None, identity: Sequence[Any]) -> str:
        """That of one change."""
        digest = self._begun.copy()
        digest.update(_encode([keys, identity])[1:])
        return digest.hexdigest()


def position_of(record: RawRecord) -> list[Any]:
    """What names a change whose source gives it no name."""
    origin = record.origin
    if origin.stream or origin.shard:
        return ["position", origin.stream, origin.shard, origin.sequence, origin.sub_sequence]
    return ["file", origin.sequence, blake2b(record.value or b"", digest_size=16).hexdigest()]


def _key_part(value: Any) -> Any:
    return value if is_tagged(value) else key_text(value)


def normalize(
    change: Change,
    content: Content,
    enrichment: Enrichment,
    table: CompiledTable,
    record: RawRecord,
    *,
    digest: str,
    service: str,
    environment: str,
) -> Event:
    """Build the event. Nothing in it depends on the clock or on the run."""
    images = content.images
    extras = Extras(
        after=wire(images.get("after", UNSET)),
        before=wire(images.get("before", UNSET)),
        previous_keys=UNSET if content.previous_keys is None else wire(content.previous_keys),
        aliases=content.aliases or UNSET,
        precision_loss=_published(change.imprecise, table) or UNSET,
        truncated=_published(change.truncated, table) or UNSET,
    )
    frame = Frame(
        table.spec, change.operation, change.adapter, change.schema, change.table,
        service=service, environment=environment, snapshot=change.snapshot,
    )  # fmt: skip
    changes = {name: {side: wire(value) for side, value in sides.items()} for name, sides in content.changes.items()}
    return frame.event(
        record, digest, change.committed_ms, iso(change.committed_at), wire(content.keys), changes, content.redacted,
        enrichment, compared=content.compared, org_id=content.org_id, user_id=content.user_id,
        transaction_id=UNSET if change.transaction_id is None else change.transaction_id, extras=extras,
    )  # fmt: skip


def _published(columns: tuple[str, ...], table: CompiledTable) -> list[str]:
    """Those that the table lets out at all."""
    spec, included = table.spec, table.includes
    drops = spec.unknown_columns == "drop"
    return [name for name in columns if (included is None or name in included) and (not drops or name in spec.known)]
