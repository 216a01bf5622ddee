"""The trail of one raw record: its hops in order, and where and why it ends."""

from dataclasses import replace
from typing import Any

from aiokafka import TopicPartition

from enrichers.pipeline import Pipeline
from enrichers.rerun import rerun
from enrichers.row_view import printable
from models.buried import Buried
from models.labels import label
from models.trail import Ending, Hop, Trail
from models.written import Place, Writer
from workers.trace import aftermath, standing
from workers.trace.aftermath import Aftermath, Again, Receipt
from workers.trace.ending import ending_of
from workers.trace.heads import EventRecord
from workers.trace.scene import Anchor, Scene
from workers.trace.walk import Walk

STEPS_NOTE = "steps: the tables of now, without lookups and without what workers remember"
IMPORTED_NOTE = "it came out of a queue by `cdc dlq import`, and never stood in a raw topic"
ANOTHER_NOTE = (
    "what was asked for is not in here: it names this raw record as its origin, and has the eventId of another change; "
    "records of other programs may"
)
MOST_NAMED = 8


async def follow(scene: Scene, anchor: Anchor, pipeline: Pipeline) -> Trail:
    """Walk along it as far as it goes now. Raises KafkaError, CommandError."""
    place = anchor.place
    tp = TopicPartition(place.topic, place.partition)
    stages = await standing.look(scene, place.partition)
    record = anchor.imported or await scene.reader.one(tp, place.offset)
    start = (await scene.reader.bounds([tp]))[tp][0]
    if record is not None:
        anchor = replace(anchor, since_ms=record.timestamp)
    walk = Walk(scene, anchor, Aftermath(), stages, raw_start=start)
    if record is not None:
        view = scene.sight.view
        walk.raw, walk.shown = view.raw_record(record), view.written(record, Writer.BRIDGE)
        walk.named = view.names.of_record(walk.raw)
        walk.again = rerun(pipeline, walk.raw, scene.sight.pins)
        if not anchor.event_id:
            walk.anchor = anchor = replace(anchor, event_id=walk.named.event_id)
    walk.after = await aftermath.look(scene, anchor)
    change = walk.named.change
    last = walk.after.last_again("enrich")
    seen_ms = last.time_ms if last is not None else anchor.since_ms
    if walk.left_out and last is not None:
        walk.events_gone = await aftermath.events_are_gone(scene, last)
    if change is not None and walk.left_out:
        walk.earlier = await aftermath.earlier_event(
            scene, anchor, walk.named.event_id, change.committed_ms, seen_ms
        )  # fmt: skip
    ending, told = ending_of(walk, tp)
    later = sorted(later_hops(walk), key=lambda hop: hop.at_ms or 0)
    decided = _enrich_hops(walk, ending)
    behind = [*later, *decided] if walk.after.again else [*decided, *later]
    return trail_of(walk, ending, told, [*_source_hops(walk), *behind])


def trail_of(walk: Walk, ending: Ending, told: str, hops: list[Hop]) -> Trail:
    shown, event = walk.shown, walk.event
    head = event.shown if event is not None else None
    entity = f"{head.entity_type}:{head.entity_id}" if head is not None else shown.entity if shown is not None else ""
    steps = walk.again.steps if walk.again is not None else ()
    notes = [STEPS_NOTE] if steps else []
    if walk.anchor.imported is not None:
        notes.append(IMPORTED_NOTE)
    if walk.is_of_another:
        notes.append(ANOTHER_NOTE)
    if shown is None and not walk.raw_start > walk.anchor.place.offset:
        notes.append(f"{walk.anchor.place} holds no record that can be read")
    return Trail(
        ending, told, tuple(hops), walk.event_id,
        printable(head.entity_type) if head is not None else shown.table if shown is not None else "",
        printable(entity),
        printable(head.operation) if head is not None else shown.operation if shown is not None else "",
        tuple({"step": step.name, "text": printable(step.text)} for step in steps), tuple(notes),
    )  # fmt: skip


def _source_hops(walk: Walk) -> list[Hop]:
    raw, shown, place = walk.raw, walk.shown, walk.anchor.place
    if raw is None or shown is None:
        gone = f"gone: the log begins at offset {walk.raw_start}" if walk.raw_start > place.offset else "not to be read"
        return [Hop("raw", gone, None, place)]
    origin, hops = raw.origin, []
    if walk.named.change is not None:
        change = walk.named.change
        hops.append(Hop("commit", f"{change.operation.wire} at the source ({change.adapter})", change.committed_ms))
    if origin.stream or origin.shard:
        sub = f"/{origin.sub_sequence}" if origin.sub_sequence else ""
        where = {
            "stream": label(origin.stream), "shard": label(origin.shard),
            "sequence": label(origin.sequence), "subSequence": origin.sub_sequence,
        }  # fmt: skip
        text = f"{where['stream']} {where['shard']}, sequence {where['sequence']}{sub}"
        hops.append(Hop("stream", text, origin.arrival_ms or None, None, where))
    if walk.anchor.imported is not None:
        return hops
    said = shown.broken or shown.said
    text = f"forwarded by the bridge, {shown.size:,} bytes" + (f"; {said}" if said else "")
    hops.append(Hop("raw", text, raw.timestamp_ms, place, {"bytes": shown.size}))
    return hops


def _enrich_hops(walk: Walk, ending: Ending) -> list[Hop]:
    """What was decided. It has no time of its own: an event carries it, a drop leaves nothing."""
    if ending is not Ending.DROPPED:
        return []
    return [Hop("enrich", left_out(walk))]


def left_out(walk: Walk) -> str:
    """Why there is no event, in words."""
    if walk.earlier is not None:
        of = walk.earlier
        return (
            f"left out (resent): the same change came before; its event is "
            f"{Place(walk.scene.topics.events, of.partition, of.offset)}"
        )
    again = walk.again
    if again is None:
        return "left out, and the raw record that would tell why is gone"
    match again.outcome:
        case "dropped":
            return f"left out ({again.reason}): {again.text}"
        case "dead":
            return f"it left neither event nor dead letter; now it would be a dead letter, {again.text}"
        case _:
            return (
                "left out, though alone it would become an event: a worker knew the change (resent) or a later one of "
                "the row (late), or had other tables; or it never read the record, as offsets were set by hand"
            )


def later_hops(walk: Walk) -> list[Hop]:
    """What stands in the topics behind raw."""
    after, topics = walk.after, walk.scene.topics
    hops = [_event_hop(event, topics.events) for event in after.events]
    for letter in after.letters:
        hops += _letter_hops(letter, topics.dead)
    hops += [_again_hop(again) for again in after.again]
    return [*hops, *(_receipt_hop(receipt, topics.receipts) for receipt in after.receipts)]


def _event_hop(event: EventRecord, topic: str) -> Hop:
    head, place = event.shown, Place(topic, event.partition, event.offset)
    if head is None:
        return Hop("event", "of another program, or of a table that is not known here", event.time_ms, place)
    owner = ", ".join(f"{name} {text}" for name, text in (("org", head.org_id), ("user", head.user_id)) if text)
    source = head.metadata.enrichment.source
    told = [
        head.event_type,
        f"owner {owner or 'missing'}" + (f" from {source}" if source not in ("", "missing") else ""),
    ]
    told += [f"changed {_names(head.changed_fields)}"] if head.changed_fields else []
    told += [f"redacted {_names(head.metadata.redacted_fields)}"] if head.metadata.redacted_fields else []
    told += [f"made again, replay {head.metadata.replay}"] if event.redriven is not None else []
    details = {"eventId": printable(head.event_id), "sequence": printable(head.metadata.sequence)}
    return Hop("event", printable("; ".join(told)), event.time_ms, place, details)


def _letter_hops(buried: Buried, topic: str) -> list[Hop]:
    letter = buried.letter
    text = f"{buried.stage}: {buried.code}: {buried.message}"
    text += f"; {letter.attempts} attempts" if letter is not None and letter.attempts > 1 else ""
    place = Place(topic, buried.id.partition, buried.id.offset)
    details = {"letter": str(buried.id), "code": buried.code}
    hops = [Hop("dead letter", printable(text), buried.time_ms, place, details)]
    if buried.handled is not None:
        hops.append(Hop(buried.handled.action, f"letter {buried.id}, by an operator", buried.handled.at_ms))
    return hops


def _again_hop(again: Again) -> Hop:
    what = "the dead letter" if again.origin.attempts else "the record"
    text = f"{what} comes again through {again.stage}"
    return Hop("again", text, again.time_ms, Place(again.topic, again.partition, again.offset))


def _receipt_hop(receipt: Receipt, topic: str) -> Hop:
    head = receipt.head
    tries = "" if head.attempts <= 1 else f", {head.attempts} attempts"
    again = "" if head.redriven_at is None else ", of what came again"
    sequence = f", number {printable(head.sequence_number)} of its group" if head.sequence_number else ""
    text = f"{printable(head.code)}: the bus calls it {printable(head.bus_event_id)}{sequence}{tries}{again}"
    details: dict[str, Any] = {"busEventId": printable(head.bus_event_id), "code": printable(head.code)}
    details["attempts"] = head.attempts
    return Hop("receipt", text, head.time or receipt.time_ms, Place(topic, receipt.partition, receipt.offset), details)


def _names(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
