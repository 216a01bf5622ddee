"""Where a trail ends, and what is said of it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from msgspec.structs import replace as replace_struct

from enrichers.event_names import Named
from enrichers.pipeline import Pipeline, PipelineOptions
from enrichers.rerun import rerun
from models.buried import Buried
from models.handled import Handled, LetterId
from models.outcome import Failure
from models.pause import Pause, Target
from models.raw import Origin, RawRecord
from models.receipt import ReceiptRecord
from models.redrive import RedriveOrigin
from models.trail import Ending, Hop, Trail
from models.written import Place
from tests.unit.changes import KEY, TELEPHONY, dms
from tests.unit.letters import T0, buried, gap
from workers.cli.trace_lines import since, trail_lines
from workers.kafka.groups import GroupState
from workers.settings.worker import Settings
from workers.trace.aftermath import Aftermath, Again, Receipt, tells_of
from workers.trace.ending import ending_of
from workers.trace.heads import EventHead, EventRecord
from workers.trace.scene import Anchor, Scene
from workers.trace.standing import StageStanding
from workers.trace.trail import ANOTHER_NOTE, later_hops, left_out, trail_of
from workers.trace.walk import Walk

RAW, EVENTS = TopicPartition("cdc.raw.core", 0), TopicPartition("cdc.events", 0)
REDRIVE = TopicPartition("cdc.redrive.enrich", 0)
OFFSET, EVENT_OFFSET = 41, 17
HEAD = EventHead("evt_1_a", "user.updated", "users", "7", "UPDATE")
EVENT = EventRecord(HEAD, 0, EVENT_OFFSET, T0, "core", None, shown=HEAD)
RECEIPT = Receipt(
    ReceiptRecord(event_id="evt_1_a", bus_event_id="bus-id", offset=EVENT_OFFSET, attempts=1, time=T0 + 2_000),
    0,
    5,
    T0 + 2_000,
)


def standing(stage: str, members: tuple[str, ...] = ("w1",), **offsets: int) -> StageStanding:
    topics = {"raw": RAW, "events": EVENTS, "redrive": REDRIVE}
    state = GroupState("Stable", members)
    return StageStanding(stage, f"cdc-{stage}", {topics[name]: at for name, at in offsets.items()}, state, {})


def walk(after: Aftermath, *, enrich: int = OFFSET + 1, publish: int = EVENT_OFFSET + 1, **changes: Any) -> Walk:
    """A change of which `after` is left, with the stages at these offsets, a minute after it came."""
    nothing: Any = SimpleNamespace()
    scene = Scene(Settings(_env_file=None), nothing, nothing, nothing, lambda: T0 + 60_000, lambda *_: None)
    stages = {
        "enrich": standing("enrich", raw=enrich, redrive=0), "publish": standing("publish", events=publish),
    }  # fmt: skip
    anchor = Anchor(Place("cdc.raw.core", 0, OFFSET), "core", T0)
    raw = RawRecord(b"", None, Origin("", "", ""), "cdc.raw.core", 0, OFFSET, T0, "core")
    made = Walk(scene, anchor, after, stages, raw=raw)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def ending(made: Walk) -> tuple[Ending, str]:
    return ending_of(made, RAW)


def test_an_event_with_a_receipt_is_delivered() -> None:
    assert ending(walk(Aftermath([EVENT], receipts=[RECEIPT])))[0] is Ending.DELIVERED


def test_what_a_stage_has_not_come_to_waits_and_is_never_told_as_left_out() -> None:
    told, why = ending(walk(Aftermath(), enrich=OFFSET - 9))
    assert told is Ending.WAITING
    assert "not through enrich yet: it has waited 60 s, 9 offsets of cdc.raw.core/0 stand before it" in why
    told, why = ending(walk(Aftermath([EVENT]), publish=EVENT_OFFSET))
    assert told is Ending.WAITING
    assert "not through publish yet" in why
    assert not told.final


def test_why_a_stage_does_not_come_is_said() -> None:
    nobody = replace(standing("enrich", members=(), raw=OFFSET))
    assert "no worker is in group cdc-enrich: start one" in nobody.why_not(RAW, OFFSET, 1_000)
    still = replace(standing("enrich", raw=OFFSET), standstills={RAW: "200 of 1000 are dead"})
    assert "stands still there: 200 of 1000 are dead" in still.why_not(RAW, OFFSET, 1_000)
    held = replace(standing("enrich", raw=OFFSET), pauses=(Pause(Target("enrich", partition=0), T0, "me", "why"),))
    assert "enrich, partition 0 is paused since 2026-01-15T10:31:00.000Z" in held.why_not(RAW, OFFSET, 1_000)
    other = replace(held, pauses=(Pause(Target("enrich", partition=1), T0, "me", "why"),))
    assert "paused" not in other.why_not(RAW, OFFSET, 1_000)
    never = standing("enrich")
    assert "has never read cdc.raw.core/0" in never.why_not(RAW, OFFSET, 1_000)


def test_what_left_nothing_behind_is_left_out_once_the_stage_is_past_it() -> None:
    assert ending(walk(Aftermath()))[0] is Ending.DROPPED
    assert ending(walk(Aftermath(), raw=None))[0] is Ending.GONE


def test_that_nothing_is_missing_is_said_only_if_the_reason_is_known() -> None:
    known = SimpleNamespace(outcome="dropped", reason="snapshot", text="")
    assert ending(walk(Aftermath(), again=known))[1] == "no event was made of it, and none is missing"
    alone = SimpleNamespace(outcome="event", reason="", text="")
    assert "none is missing" not in ending(walk(Aftermath(), again=alone))[1]


def test_a_dead_letter_ends_a_trail_until_it_comes_again() -> None:
    letter = buried(3, code=Failure.PARSE_ERROR)
    told, why = ending(walk(Aftermath(letters=[letter])))
    assert told is Ending.DEAD
    assert "cdc dlq show 0:3" in why
    dropped = replace(letter, handled=Handled(LetterId(0, 3), "dropped", T0, T0))
    assert "was dropped by an operator" in ending(walk(Aftermath(letters=[dropped])))[1]
    redriven = replace(letter, handled=Handled(LetterId(0, 3), "redriven", T0, T0))
    told, why = ending(walk(Aftermath(letters=[redriven])))
    assert told is Ending.GONE, "nothing of what came of it is found"
    assert "was redriven at" in why
    again = Again("enrich", REDRIVE.topic, 0, 8, T0 + 30_000, RedriveOrigin("cdc.raw.core", 0, OFFSET, T0, 1, T0))
    told, why = ending(walk(Aftermath(letters=[letter], again=[again])))
    assert told is Ending.WAITING
    assert "has waited 30 s, 8 offsets of cdc.redrive.enrich/0" in why


def again(stage: str, offset: int) -> Again:
    topic = f"cdc.redrive.{stage}"
    return Again(stage, topic, 0, offset, T0 + 30_000, RedriveOrigin("cdc.raw.core", 0, OFFSET, T0, 1, T0))


def test_a_letter_that_came_again_ends_as_what_became_of_it_then() -> None:
    letter, dropped = buried(3), SimpleNamespace(outcome="dropped", reason="snapshot", text="")
    past = {"enrich": standing("enrich", raw=OFFSET + 1, redrive=9), "publish": standing("publish")}
    nothing = walk(Aftermath(letters=[letter], again=[again("enrich", 8)]), stages=past, again=dropped)
    assert ending(nothing)[0] is Ending.DROPPED
    assert "it came again, and no event was made of it" in ending(nothing)[1]
    nothing.events_gone = True
    assert ending(nothing)[0] is Ending.GONE
    failed = walk(Aftermath(letters=[letter, buried(5, redriven=8)], again=[again("enrich", 8)]), stages=past)
    assert "cdc dlq show 0:5" in ending(failed)[1]


def refused(offset: int, *, of: EventRecord = EVENT, **fields: Any) -> Buried:
    """A letter of publish."""
    letter = buried(offset, stage="publish", topic="cdc.events", **fields)
    assert letter.letter is not None
    return replace(letter, letter=replace(letter.letter, offset=of.offset))


def published() -> dict[str, StageStanding]:
    """Publish past the first event, and past a record of its redrive topic."""
    redrive = TopicPartition("cdc.redrive.publish", 0)
    publish = standing("publish", events=EVENT_OFFSET + 1)
    return {"enrich": standing("enrich", raw=OFFSET + 1, redrive=9),
            "publish": replace(publish, offsets={**publish.offsets, redrive: 9})}  # fmt: skip


def test_an_event_that_came_again_is_not_dead_for_the_letter_it_was() -> None:
    came = Aftermath([EVENT], letters=[refused(3)], again=[again("publish", 8)])
    assert ending(walk(came, stages=published()))[0] is Ending.GONE
    came.letters.append(refused(5, redriven=8))
    assert "cdc dlq show 0:5" in ending(walk(came, stages=published()))[1]


def test_a_letter_of_publish_that_came_again_outlives_its_event() -> None:
    came = Aftermath(letters=[refused(3)], again=[again("publish", 8)])
    assert ending(walk(came, stages=published()))[0] is Ending.GONE
    came.receipts.append(replace(RECEIPT, head=replace_struct(RECEIPT.head, redriven=8)))
    assert ending(walk(came, stages=published()))[0] is Ending.DELIVERED
    failed = Aftermath(letters=[refused(3), refused(5, redriven=8)], again=[again("publish", 8)])
    assert "cdc dlq show 0:5" in ending(walk(failed, stages=published()))[1]


def test_what_became_of_a_change_that_came_again_waits_whatever_became_of_it_before() -> None:
    second = replace(EVENT, offset=EVENT_OFFSET + 9, redriven=8)
    for before in (Aftermath(letters=[refused(3)]), Aftermath(receipts=[RECEIPT])):
        came = Aftermath([EVENT, second], before.letters, [again("enrich", 8)], before.receipts)
        assert ending(walk(came, stages=published()))[0] is Ending.WAITING


def test_a_letter_that_nobody_has_handled_is_told_beside_the_receipt_of_the_same_change() -> None:
    second = replace(EVENT, offset=EVENT_OFFSET - 3, redriven=8)
    came = Aftermath([EVENT, second], [refused(3, of=second)], [again("enrich", 8)], [RECEIPT])
    assert "cdc dlq show 0:3" in ending(walk(came, stages=published()))[1], "the last time counts"
    twice = Aftermath([EVENT], [buried(3, redriven=8)], [again("enrich", 8)], [RECEIPT])
    told, why = ending(walk(twice, stages=published()))
    assert told is Ending.DELIVERED
    assert why.endswith("Nobody has handled its dead letter 0:3")


def test_what_was_lost_unread_is_told_by_its_gap() -> None:
    lost = gap(3)
    assert tells_of(lost.gap, [("cdc.raw.core", 0, 10)])
    assert not tells_of(lost.gap, [("cdc.raw.core", 0, 20), ("cdc.raw.core", 1, 10), ("cdc.raw.other", 0, 10)])
    told, why = ending(walk(Aftermath(letters=[lost])))
    assert told is Ending.DEAD
    assert "records were deleted before anybody read them" in why


def test_an_event_without_a_receipt_that_publish_has_passed_is_no_longer_known() -> None:
    assert ending(walk(Aftermath([EVENT])))[0] is Ending.GONE


def test_why_a_change_was_left_out_is_found_by_the_pipeline() -> None:
    pipeline = Pipeline(TELEPHONY, PipelineOptions(redaction_key=KEY))

    def of(value: bytes | None) -> str:
        raw = RawRecord(value, None, Origin("s", "h", "1"), "cdc.raw.core", 0, OFFSET, T0, "core", table=None)
        return left_out(walk(Aftermath(), again=rerun(pipeline, raw)))

    assert of(dms("load", {"ID": 7, "HomeOrgID": 3})).startswith("left out (snapshot): a row of a full load")
    assert of(dms("insert", {"ID": 7}, table="strangers")).startswith("left out (unknown_table)")
    assert of(None).startswith("left out (tombstone)")
    assert "alone it would become an event" in of(dms("insert", {"ID": 7, "HomeOrgID": 3}))
    resent = walk(Aftermath(), named=Named(None, "evt_1_a"), earlier=EVENT)
    assert left_out(resent) == "left out (resent): the same change came before; its event is cdc.events/0:17"


def test_that_what_was_asked_for_is_another_change_is_told() -> None:
    asked = Anchor(Place("cdc.raw.core", 0, OFFSET), "core", T0, "evt_9_b")
    made = walk(Aftermath([EVENT]), anchor=asked)
    assert ANOTHER_NOTE in trail_of(made, Ending.GONE, "", []).notes
    same = walk(Aftermath([EVENT]), anchor=replace(asked, event_id="evt_1_a"))
    assert ANOTHER_NOTE not in trail_of(same, Ending.GONE, "", []).notes
    named = walk(Aftermath(), anchor=asked, named=Named(None, "evt_1_a"))
    assert named.is_of_another


def test_hops_are_told_with_the_time_between_them() -> None:
    hops = later_hops(walk(Aftermath([EVENT], receipts=[RECEIPT])))
    trail = Trail(Ending.DELIVERED, "the bus has it", tuple(hops), "evt_1_a", "users", "users:7", "UPDATE")
    title, event, receipt, end = trail_lines(trail, steps=True)
    assert title == "evt_1_a  UPDATE  users:7"
    assert "cdc.events/0:17  user.updated" in event
    assert "+2.0 s  receipt" in receipt
    assert end == "  => delivered: the bus has it"
    document = trail.document()
    assert [hop["tookMs"] for hop in document["hops"]] == [None, 2_000]
    nameless = Trail(Ending.DEAD, "", (Hop("raw", "", T0, Place("cdc.raw.core", 3, 22)),), entity="***")
    assert next(trail_lines(nameless, steps=False)) == "cdc.raw.core/3:22"


def test_of_an_event_that_another_program_wrote_only_its_place_is_told() -> None:
    made = walk(Aftermath([replace(EVENT, shown=None)]))
    trail = trail_of(made, Ending.DELIVERED, "", later_hops(made))
    assert "users:7" not in repr(trail)
    (hop,) = trail.hops
    assert (hop.place, hop.details) == (Place("cdc.events", 0, EVENT_OFFSET), {})
    assert hop.text == "of another program, or of a table that is not known here"


def test_durations_are_short_and_have_a_sign() -> None:
    assert [since(ms) for ms in (0, 999, 1_500, -1_500, 90_000, 5_400_000)] == [
        "+0 ms", "+999 ms", "+1.5 s", "-1.5 s", "+1.5 min", "+1.5 h",
    ]  # fmt: skip
