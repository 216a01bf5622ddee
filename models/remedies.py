"""What to do about a dead letter, by its code."""

from models.buried import GAP, UNREADABLE
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


def remedy(code: str) -> str:
    """For a code as `Buried.code` gives it."""
    return _OTHERS[code] if code in _OTHERS else _OF_FAILURE[Failure(code)]
