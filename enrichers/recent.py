"""The last changes of a slot, as digests in a ring of small blocks: what a source sends again is known by them.

A block is the value of one table entry. Whoever adds to the ring writes its newest block again, so that a unit costs at
most one block more than the digests it adds. Values of a table carry a format version, as in `enrichers.state`.
"""

import struct
from collections.abc import Mapping

from enrichers.state import FORMAT, NewerFormatError, UnreadableEntryError

DIGEST = 10
"""Bytes: the whole digest of a change, the one its eventId ends with."""
BLOCK = 128
"""Digests of one block: 1.3 kB."""
BLOCKS = 65
"""The newest may hold a single digest, so that at least 8,192 changes are known."""
_HEAD = struct.Struct(">BQ")
"""Format version, and the number of the block since the ring began."""


class Ring:
    """Blocks by their keys, the digests in them, and the block that is written next.

    `blocks` is read at once and whenever `follow` is called; what `add` answers is for the caller to write."""

    def __init__(self, partition: int, blocks: Mapping[bytes, bytes]) -> None:
        """Raises NewerFormatError or UnreadableEntryError."""
        self._partition = partition
        self._blocks: dict[bytes, bytes] = {}
        self._known: set[bytes] = set()
        self._newest = self._number = 0
        self._added: set[bytes] = set()
        self._open: bytes | None = None
        self.follow(blocks)

    def follow(self, blocks: Mapping[bytes, bytes]) -> None:
        """Begin again with what the table holds now: what was added and is not among it was never committed.

        Costs a look at each block, and the digests of those that are others than before. Raises as `__init__`."""
        self._added.clear()
        self._open = None
        self._number = self._newest
        kept = self._blocks
        if len(kept) == len(blocks) and all(kept.get(key) is block for key, block in blocks.items()):
            return
        changed = {key: block for key, block in blocks.items() if kept.get(key) is not block}
        read = {key: digests_of(block) for key, block in changed.items()}
        for key, block in kept.items():
            if blocks.get(key) is not block:
                self._known.difference_update(digests_of(block))
        for digests in read.values():
            self._known.update(digests)
        self._blocks = dict(blocks)
        self._newest = self._number = max(map(number_of, blocks.values()), default=0)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._known or digest in self._added

    def add(self, digest: bytes) -> tuple[bytes, bytes]:
        """One more change. Returns the entry to write: (key, block)."""
        block = self._open if self._open is not None else self._blocks.get(key_of(self._partition, self._number))
        if block is None:
            block = _HEAD.pack(FORMAT, self._number)
        elif is_full(block):
            self._number += 1
            block = _HEAD.pack(FORMAT, self._number)
        self._open = block + digest
        self._added.add(digest)
        return key_of(self._partition, self._number), self._open


def is_full(block: bytes) -> bool:
    """Whether the next digest begins another block."""
    return len(block) >= _HEAD.size + BLOCK * DIGEST


def key_of(partition: int, number: int) -> bytes:
    """Key of a block, of one partition alone; the block BLOCKS later takes its place."""
    return b"%d.%d" % (partition, number % BLOCKS)


def number_of(block: bytes) -> int:
    """How many blocks came before this one. Raises NewerFormatError or UnreadableEntryError."""
    if len(block) < _HEAD.size:
        raise UnreadableEntryError("a table holds a block of changes that cannot be read")
    version, number = _HEAD.unpack_from(block)
    if version > FORMAT:
        raise NewerFormatError(f"a table value of format {version}; this release knows up to {FORMAT}")
    return int(number)


def digests_of(block: bytes) -> list[bytes]:
    """Digests of a block, oldest first. Raises NewerFormatError or UnreadableEntryError."""
    number_of(block)
    if (len(block) - _HEAD.size) % DIGEST:
        raise UnreadableEntryError("a table holds a block of changes that cannot be read")
    return [block[at : at + DIGEST] for at in range(_HEAD.size, len(block), DIGEST)]


def joined(partition: int, older: Mapping[bytes, bytes], newer: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """One ring of two: what only the older one knows stands before all that the newer one does."""
    found = [digest for blocks in (older, newer) for block in sorted(blocks.values(), key=number_of)
             for digest in digests_of(block)]  # fmt: skip
    last = {digest: place for place, digest in enumerate(found)}
    ring = Ring(partition, {})
    return dict(ring.add(digest) for place, digest in enumerate(found) if last[digest] == place)
