"""What a stage has in hand, for the probe that asks whether it still gets anywhere."""

from collections.abc import Mapping
from typing import Any

from workers.engine.window import Window

Waiting = Mapping[str, int]
"""By the name of what waits: a number that changes whenever it moves on."""


def in_hand(app: Any) -> Waiting:
    """Work that nothing but this process keeps from being done: {topic/partition: committed position}, and what the
    stage itself has in hand.

    A stage that waits for others is left out: one that rebalances, is refused something, pauses, has a full window or a
    slot to repair. An outage is not a dead process."""
    consumer, slots = app._consumer, app.slots
    if consumer is None or app.rebalancing or not slots.open:
        return {}
    waiting = {name: number for more in app.in_hand for name, number in more().items()}
    if app.blockers or app.outages:
        return waiting
    for slot in slots.owned.values():
        if not works(app, slot):
            continue
        for tp, position in slot.position.items():
            handed_over = tp not in consumer.held and bool(consumer.inflight.get(tp))
            if (handed_over or _delivered(slot, tp)) and tp not in consumer.open_gaps:
                waiting[f"{tp.topic}/{tp.partition}"] = position
    return waiting


def works(app: Any, slot: Any) -> bool:
    """Nobody holds the slot up: neither Kafka nor an operator."""
    return slot.usable and not slot.refused and not app.brake.touches(slot.index)


def _delivered(slot: Any, tp: Any) -> bool:
    """The oldest record in the window has been delivered, so the window can commit."""
    queues = (body.fifo.get(tp) for body in slot.bodies if isinstance(body, Window))
    return any(queue and queue[0].outcome is not None for queue in queues)


def consumer_loop(app: Any) -> Any:
    """The event loop of the stage's consumer thread; None while there is none."""
    consumer = app._consumer
    thread = consumer._thread if consumer is not None else None
    return thread.thread_loop if thread is not None else None


def why_not_ready(app: Any) -> list[str]:
    """What keeps a stage from being ready, in words without keys and values; nothing if it is."""
    if app.ready:
        return []
    consumer, slots = app._consumer, app.slots
    if consumer is None:
        return ["starts"]
    found = []
    if app.rebalancing or not slots.open:
        found.append("joins its group, or recovers its tables")
    if slots.incomplete:
        found.append(f"{len(slots.incomplete)} slots are incomplete")
    refused = sum(bool(slot.refused) for slot in slots.owned.values())
    broken = sum(slot.broken and not slot.refused for slot in slots.owned.values())
    found += [f"{refused} slots are refused something by Kafka"] if refused else []
    found += [f"{broken} slots are being repaired"] if broken else []
    found += [f"{len(consumer.open_gaps)} gaps wait for a decision"] if consumer.open_gaps else []
    found += [f"waits for you: {name}" for name in sorted(app.blockers)]
    found += [f"does not answer: {name}" for name in sorted(app.outages)]
    found += ["paused by an operator"] if app.brake.holds_any(slots.owned) else []
    return found or ["its slots are opening"]
