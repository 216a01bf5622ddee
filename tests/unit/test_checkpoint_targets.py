"""What a reset or an import makes of the checkpoints: the parent rule holds, and nothing is skipped unsaid."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from models.checkpoint import Boot, Checkpoint, ShardState, Start
from models.position import Position
from models.shard import Shard
from models.start_position import StartAt
from workers.failures import CommandError, ConfigurationError, NotFoundError, RefusedError
from workers.kinesis.cursor import ShardCursor
from workers.kinesis.directory import Listing, StreamFacts
from workers.kinesis.lineage import Begin, Blocked, Decision, Ended, Resume, decide
from workers.kinesis.pages import Page, Record
from workers.positions.brought import Brought, take_over
from workers.positions.document import document_of, read_document
from workers.positions.plan import parse_pairs
from workers.positions.stream import StreamNow
from workers.positions.target import Mark, Target, begin_again, change_to, go_on_at
from workers.positions.topic import Positions

ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/core"
NOW, CREATED, HALF, LAST = 10_000_000_000, 5, (1 << 127) - 1, (1 << 128) - 1
A, B = Shard("a", 0, HALF), Shard("b", HALF + 1, LAST)
A1, A2 = Shard("a1", 0, HALF // 2, ("a",)), Shard("a2", HALF // 2 + 1, HALF, ("a",))
M = Shard("m", HALF // 2 + 1, LAST, ("a2", "b"))
ALL = (A, B, A1, A2, M)
BOOT = Boot(ARN, Start("TRIM_HORIZON"), (A, B), CREATED, 1_000)


def stream(*shards: Shard, created_ms: int = CREATED) -> StreamNow:
    facts = StreamFacts(ARN, created_ms, 86_400_000, unordered=False, encrypted=False, asked_ms=NOW)
    return StreamNow(facts, Listing(0, {shard.id: shard for shard in shards or ALL}, frozenset()))


def at(shard: Shard, sequence: int = 7, *, ended: bool = False, covered_ms: int = 900) -> Checkpoint:
    state = ShardState.SHARD_END if ended else ShardState.ACTIVE
    return Checkpoint(ARN, shard.id, state, str(sequence), 0, 800, 5, shard.parents, covered_ms)


def standing(*found: Checkpoint, boot: Boot | None = BOOT) -> Positions:
    slots = {shard.id: shard.source_slot(8) for shard in ALL}
    return Positions({ARN: boot} if boot is not None else {}, {(slots.get(c.shard, 0), c.key): c for c in found})


@dataclass
class After:
    """See lineage.Known."""

    target: Target
    listed: frozenset[str]

    @property
    def boot(self) -> Boot:
        return self.target.boot

    def checkpoint(self, shard: str) -> Checkpoint | None:
        return self.target.checkpoints.get(shard)

    def vanished(self, shard: str) -> bool:
        return shard not in self.listed


def decisions(target: Target, *shards: Shard) -> dict[str, Decision]:
    """What the bridge does with every shard of the stream after the change."""
    known = After(target, frozenset(shard.id for shard in shards or ALL))
    return {s.id: decide(s, target.checkpoints.get(s.id), known) for s in shards or ALL}  # type: ignore[arg-type]


WORKED = standing(at(A, ended=True), at(B, ended=True), at(A1), at(A2, ended=True), at(M))


def test_a_whole_reset_begins_the_roots_and_blocks_every_child() -> None:
    found = decisions(begin_again("reset", StartAt("TRIM_HORIZON"), stream(), WORKED, NOW))
    assert isinstance(found["a"], Begin)
    assert isinstance(found["b"], Begin)
    assert found["a1"] == found["a2"] == Blocked(("a",))
    assert found["m"] == Blocked(("a2", "b"))


def test_a_whole_reset_after_the_parents_left_the_stream_waits_for_nobody_who_is_gone() -> None:
    found = decisions(begin_again("reset", StartAt("TRIM_HORIZON"), stream(A1, M), WORKED, NOW), A1, M)
    assert {type(decision) for decision in found.values()} == {Begin}


def test_latest_is_pinned_to_the_moment_of_the_reset() -> None:
    target = begin_again("reset", StartAt("LATEST"), stream(), WORKED, 0)
    assert target.boot.start == Start("AT_TIMESTAMP", NOW)
    assert any("skipped" in note for note in target.notes)


def test_a_reset_takes_every_checkpoint_of_the_stream_away_and_no_other() -> None:
    other = Checkpoint("other", "a", ShardState.ACTIVE, "1", 0, 0, 0)
    before = Positions({ARN: BOOT}, {**WORKED.placed, (0, other.key): other})
    target = begin_again("reset", StartAt(), stream(), before, NOW)
    change = change_to(target, before, stream(), 8)
    assert {value for entries in change.writes.values() for value in entries.values()} == {None}
    assert list(change.after().placed.values()) == [other]


def test_a_shard_that_is_set_goes_on_at_that_record_and_its_descendants_wait() -> None:
    target = go_on_at("reset", [Mark("a2", "5", 700)], stream(), WORKED)
    found = decisions(target)
    assert found["a"] == found["b"] == Ended()
    assert isinstance(found["a2"], Resume)
    assert found["m"] == Blocked(("a2",))
    assert target.checkpoints["a1"] == at(A1)
    assert any(note.startswith("m begins again") for note in target.notes)


def test_the_record_of_a_mark_is_the_next_one_that_is_forwarded() -> None:
    target = go_on_at("reset", [Mark("b", "5", 700)], stream(), WORKED)
    checkpoint = Checkpoint.decode(target.checkpoints["b"].encode())
    assert checkpoint.position is not None
    assert checkpoint.position < Position(5, 0)
    cursor = ShardCursor(B, Resume(checkpoint))
    page = Page([Record("5", b"x", "k", 0.7), Record("6", b"y", "k", 0.8)])
    assert cursor.gap(page, NOW, 86_400_000) is None
    parts = cursor.parts(page, NOW, max_records=9, max_bytes=99)
    assert [record.sequence_number for part in parts for record in part.records] == ["5", "6"]


def test_ancestors_of_a_mark_count_as_ended_and_what_that_skips_is_said() -> None:
    target = go_on_at("reset", [Mark("m", "5", 700)], stream(), standing(at(A), at(B)))
    found = decisions(target)
    assert found["a"] == found["b"] == found["a2"] == Ended()
    assert isinstance(found["m"], Resume)
    skipped = [note.split()[0] for note in target.notes if "counts as read to its end" in note]
    assert skipped == ["a", "a2", "b"]


def test_what_is_skipped_before_a_mark_is_said() -> None:
    assert (
        "records of b between 7 and 9 are skipped"
        in go_on_at("reset", [Mark("b", "9", 700)], stream(), standing(at(A), at(B))).notes
    )


@pytest.mark.parametrize(
    ("marks", "positions", "now", "error"),
    [
        ([Mark("a", "5", 0), Mark("m", "5", 0)], WORKED, stream(), ConfigurationError),
        ([Mark("z", "5", 0)], WORKED, stream(), NotFoundError),
        ([Mark("a", "5", 0)], standing(boot=None), stream(), RefusedError),
        ([Mark("a", "5", 0)], WORKED, stream(created_ms=9), RefusedError),
    ],
    ids=["an ancestor too", "an unknown shard", "before the first boot", "a stream made anew"],
)
def test_a_mark_that_cannot_be_set_is_refused(
    marks: list[Mark], positions: Positions, now: StreamNow, error: type[CommandError]
) -> None:
    with pytest.raises(error):
        go_on_at("reset", marks, now, positions)


def test_only_the_same_reset_goes_on_after_one_that_was_cut_off() -> None:
    half = standing(at(A), boot=Boot(ARN, BOOT.start, BOOT.shards, CREATED, 1_000, unfinished="reset --at-seq a=5"))
    assert go_on_at("reset --at-seq a=5", [Mark("a", "5", 0)], stream(), half).boot.unfinished == ""
    with pytest.raises(RefusedError, match="--at-seq a=5"):
        go_on_at("reset --at-seq b=5", [Mark("b", "5", 0)], stream(), half)


def test_pairs_name_a_shard_and_a_number() -> None:
    assert parse_pairs(("a=5", "b=6")) == {"a": "5", "b": "6"}
    for wrong in (("a",), ("a=x",), ("=5",), ("a=5", "a=6")):
        with pytest.raises(CommandError):
            parse_pairs(wrong)


def brought(*found: Checkpoint, boot: Boot | None = None) -> Brought:
    return Brought({one.shard: one for one in found}, boot)


def taken(found: Brought, positions: Positions | None = None, **options: bool) -> Target:
    options = {"replacing": False, "gone_ended": False} | options
    return take_over("import --from x", found, stream(), positions or standing(boot=None), NOW, **options)


def test_an_exported_document_brings_back_what_stood_there() -> None:
    document = json.loads(json.dumps(document_of(WORKED, "cdc", "2026-01-15T10:00:00Z")))
    target = taken(read_document(json.dumps(document).encode(), "core"))
    assert target.boot == BOOT
    assert target.checkpoints == {one.shard: one for one in WORKED.placed.values()}
    change = change_to(target, standing(boot=None), stream(), 8)
    assert change.after() == WORKED


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"format": "cdc-checkpoints", "version": 2, "streams": []}'])
def test_a_file_that_is_no_export_is_refused_without_quoting_it(content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="not the JSON of an export"):
        read_document(content, "core")


def test_a_checkpoint_of_another_format_is_not_guessed() -> None:
    document: dict[str, Any] = document_of(WORKED, "cdc", None)
    document["streams"][0]["checkpoints"][0]["v"] = 9
    with pytest.raises(ConfigurationError):
        read_document(json.dumps(document).encode(), "core")


def test_an_export_of_another_stream_is_told() -> None:
    with pytest.raises(NotFoundError):
        read_document(json.dumps(document_of(WORKED, "cdc", None)).encode(), "other")


def test_a_half_written_change_is_not_exported() -> None:
    half = Boot(ARN, BOOT.start, BOOT.shards, CREATED, 1_000, unfinished="reset --latest")
    with pytest.raises(RefusedError):
        document_of(standing(boot=half), "cdc", None)


def test_positions_are_not_written_over_those_that_are_there_unless_asked() -> None:
    with pytest.raises(RefusedError, match="there are checkpoints"):
        taken(brought(at(A)), WORKED)
    assert taken(brought(at(A)), WORKED, replacing=True).checkpoints["a"] == at(A)


def test_the_same_import_goes_on_after_it_was_cut_off() -> None:
    half = Boot(ARN, BOOT.start, BOOT.shards, CREATED, 1_000, unfinished="import --from x")
    assert taken(brought(at(A)), standing(at(A), boot=half)).boot.unfinished == ""


def test_ancestors_without_a_position_count_as_read() -> None:
    found = decisions(taken(brought(at(A1), at(M))))
    assert found["a"] == found["b"] == found["a2"] == Ended()
    assert isinstance(found["m"], Resume)


def test_a_child_whose_parent_is_still_read_begins_again_behind_it() -> None:
    target = taken(brought(at(A), at(B), at(A1, 9)))
    assert decisions(target)["a1"] == Blocked(("a",))
    assert any(note.startswith("a1 begins again") for note in target.notes)


def test_a_shard_that_left_the_stream_unread_is_refused_and_one_that_ended_is_fine() -> None:
    gone = Shard("gone", 0, 9)
    with pytest.raises(RefusedError, match="gone"):
        taken(brought(at(gone), at(A)))
    assert taken(brought(at(gone, ended=True), at(A))).checkpoints["gone"].ended
    assert taken(brought(at(gone), at(A)), gone_ended=True).checkpoints["gone"].ended


def test_positions_of_a_stream_that_was_made_anew_are_refused() -> None:
    with pytest.raises(RefusedError, match="made anew"):
        taken(brought(at(A), boot=Boot(ARN, BOOT.start, BOOT.shards, 99, 1_000)))
