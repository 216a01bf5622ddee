"""Where a trail ends, and why."""

from aiokafka import TopicPartition

from models.buried import Buried
from models.remedies import remedy_of
from models.trail import Ending
from models.written import stamp
from workers.trace.aftermath import Aftermath, Receipt
from workers.trace.durations import duration
from workers.trace.heads import EventRecord
from workers.trace.walk import Walk


def ending_of(walk: Walk, tp: TopicPartition) -> tuple[Ending, str]:
    """Where it ends, and why. `tp`: of the raw record. What a stage has still to come to waits, whatever is known."""
    after, now = walk.after, walk.scene.now_ms()
    for again in reversed(after.again):
        if not walk.stages[again.stage].passed(again.tp, again.offset):
            return Ending.WAITING, walk.stages[again.stage].why_not(again.tp, again.offset, now - again.time_ms)
    if after.events:
        return _of_event(walk, after.events[-1], now)
    if walk.events_gone:
        return Ending.GONE, "it came again, and what may have become of it is older than what cdc.events keeps"
    if after.again and walk.left_out:
        return Ending.DROPPED, "it came again, and no event was made of it; the hop enrich says what may be the reason"
    if after.receipts:
        return _delivered(walk)
    if (last := after.last_again("publish")) is not None and not after.failed_again(last):
        return Ending.GONE, "its dead letter came again, and what publish made of it is older than what the topics keep"
    if after.letters:
        return _of_letter(after.letters[-1])
    enrich, offset = walk.stages["enrich"], walk.anchor.place.offset
    if walk.anchor.imported is not None:
        return Ending.GONE, "its dead letter is older than what the topics keep"
    if not enrich.passed(tp, offset):
        return Ending.WAITING, enrich.why_not(tp, offset, now - walk.anchor.since_ms)
    if walk.raw is None:
        return Ending.GONE, "what Kafka still holds says nothing of it: it is older than what the topics keep"
    if walk.earlier is None and (walk.again is None or walk.again.outcome != "dropped"):
        return Ending.DROPPED, "no event was made of it; the hop enrich says what may be the reason"
    return Ending.DROPPED, "no event was made of it, and none is missing"


def _of_event(walk: Walk, event: EventRecord, now: int) -> tuple[Ending, str]:
    after, publish = walk.after, walk.stages["publish"]
    tp = TopicPartition(walk.scene.topics.events, event.partition)
    answered = any(receipt.head.offset == event.offset for receipt in after.receipts)
    if not answered and not publish.passed(tp, event.offset):
        return Ending.WAITING, publish.why_not(tp, event.offset, now - event.time_ms)
    letters = [letter for letter in after.letters if _is_of(letter, tp.topic, event.offset)]
    if (last := after.last_again("publish")) is not None and not after.failed_again(last):
        letters = []
    if letters and not answered:
        return _of_letter(letters[-1])
    if after.receipts:
        return _delivered(walk)
    return Ending.GONE, (
        "publish is done with it, and there is no receipt: it is older than what the receipts' topic keeps, or its "
        f"offsets were set by hand; `cdc status --audit` counts{_open_letters(after)}"
    )


def _is_of(letter: Buried, topic: str, offset: int) -> bool:
    return letter.letter is not None and (letter.letter.topic, letter.letter.offset) == (topic, offset)


def _delivered(walk: Walk) -> tuple[Ending, str]:
    receipts = walk.after.receipts
    again = f"; {len(receipts)} times in all, as it came again" if len(receipts) > 1 else ""
    return Ending.DELIVERED, f"the bus has it{_took(walk, receipts[0])}{again}{_open_letters(walk.after)}"


def _open_letters(after: Aftermath) -> str:
    """What came again, or came twice, may stand among the dead letters all the same."""
    found = [str(letter.id) for letter in after.letters if letter.letter is not None and letter.handled is None]
    return f". Nobody has handled its dead letter{'' if len(found) == 1 else 's'} {', '.join(found)}" if found else ""


def _took(walk: Walk, receipt: Receipt) -> str:
    change = walk.named.change
    took = (receipt.head.time or receipt.time_ms) - change.committed_ms if change is not None else -1
    return f", {duration(took)} after the commit" if took >= 0 else ""


def _of_letter(letter: Buried) -> tuple[Ending, str]:
    if letter.handled is not None and letter.handled.action == "dropped":
        return Ending.DEAD, f"its dead letter {letter.id} was dropped by an operator at {stamp(letter.handled.at_ms)}"
    if letter.handled is not None:
        return Ending.GONE, (
            f"its dead letter {letter.id} was redriven at {stamp(letter.handled.at_ms)}, and what came of that is not "
            "found: it is older than what the topics keep, or an earlier release redrove a letter that was imported"
        )
    return Ending.DEAD, f"{remedy_of(letter)}. `cdc dlq show {letter.id}` tells more"
