"""What to do about a dead letter, by its code."""

from models.buried import GAP, PUBLISH, UNREADABLE, Buried
from models.dead_letter import import_of
from models.outcome import Failure

_OF_FAILURE: dict[Failure, str] = {
    Failure.PARSE_ERROR: "the bytes are no change record. Have the source send the row again, then drop the letter. If "
    "the record is good and only new to the worker, redrive it with a release that reads it",
    Failure.VALIDATION_ERROR: "the row does not fit what tables.yaml says of its table: a column lacks, or is of "
    "another type. `cdc schema drift` shows what the source sends. Correct the table, restart the enrich workers, "
    "redrive. If the row itself is wrong, correct it at the source and drop the letter",
    Failure.TRANSFORMATION_ERROR: "a value has not the form that `transform` needs, or the worker has a bug that this "
    "record meets (the message says so). Correct the rule or take a newer release, redrive",
    Failure.ENRICHMENT_ERROR: "nobody is known to own the row, and the table says `on_missing_owner: dead`. See that "
    "the row it belongs to has come (`provides:` of the lookup), then redrive",
    Failure.EVENTBRIDGE_ERROR: "the bus refused the event for good, or it is larger than the bus takes. A redrive "
    "sends the same bytes: correct what refuses them first, or drop the letter",
    Failure.STATE_ERROR: "Kafka refused what the stage had to write. See the log of the worker, then redrive",
}
_OTHERS = {
    GAP: 'it is no letter: records were deleted before anybody read them, and cannot be redriven. See "A gap in a '
    'shard" in docs/runbook.md; drop it when it is dealt with',
    UNREADABLE: "another program wrote into the topic. Find out which, then drop it",
}


_IMPORTED = (
    "it came out of a queue of another pipeline, and no stage has tried it yet: redrive it. What then fails is a new "
    "letter, which says why"
)
_NO_EVENT = (
    "another program wrote it into cdc.events, and it is no event. Find out which program, then drop the letter: what "
    "it wanted to publish can go to the bus itself"
)
_NO_ROW = (
    "it is not known to be a row of any table: the message says what the record lacks. Correct what writes into the "
    "stream and drop the letter, or name its table in tables.yaml, restart the enrich workers, redrive"
)


def remedy(code: str) -> str:
    """For a code as `Buried.code` gives it."""
    return _OTHERS[code] if code in _OTHERS else _OF_FAILURE[Failure(code)]


def remedy_of(letter: Buried) -> str:
    """For a letter: where it came from, and what was known of it, tell more than its code."""
    told = letter.letter
    if told is None:
        return remedy(letter.code)
    if import_of(letter.record.headers) and told.redriven is None:
        return _IMPORTED
    if told.code is Failure.VALIDATION_ERROR and told.stage == PUBLISH:
        return _NO_EVENT
    if told.code is Failure.VALIDATION_ERROR and not letter.table:
        return _NO_ROW
    return remedy(letter.code)
