"""What each code in an answer of PutEvents means for an event, whatever the bus."""

from typing import assert_never

from models.outcome import ErrorCategory, Failure
from workers.aws.errors import AwsDenied, AwsError, AwsThrottled, AwsUnavailable, category_of
from workers.engine.delivery import Retry, Undeliverable

CONFIGURATION_PAUSE = 10.0
"""Seconds. A wrong bus or a missing permission drains nothing into the dead letters: what it concerns waits."""
UNKNOWN_ATTEMPTS = 10
"""Of an event whose error code nobody knows: it may pass, and it may be poison."""


def of_entry(code: str) -> Retry | Undeliverable:
    """One entry of a request that was answered."""
    category = category_of(code)
    refused = Undeliverable(Failure.EVENTBRIDGE_ERROR, f"the bus refused it: {code}")
    match category:
        case None:
            return Retry(code, attempts=UNKNOWN_ATTEMPTS, otherwise=refused)
        case ErrorCategory.CONFIGURATION:
            return Retry(code, CONFIGURATION_PAUSE, category)
        case ErrorCategory.TRANSIENT | ErrorCategory.THROTTLING:
            return Retry(code, category=category)
        case ErrorCategory.PERMANENT | ErrorCategory.POISON_MESSAGE:
            return refused
        case _:
            assert_never(category)


def of_request(error: AwsError) -> Retry | None:
    """A request as a whole; None: AWS refuses what is in it, and only its entries alone can tell which."""
    category = category_of(error.code)
    if isinstance(error, AwsThrottled):
        return Retry(error.code, category=ErrorCategory.THROTTLING, whole=True)
    if isinstance(error, AwsDenied) or category is ErrorCategory.CONFIGURATION:
        return Retry(error.code, CONFIGURATION_PAUSE, ErrorCategory.CONFIGURATION, whole=True)
    if isinstance(error, AwsUnavailable):
        return Retry(error.code, whole=True)
    return None


def unreadable(code: str) -> Retry:
    """An answer that does not say what became of its entries: an unknown outcome, sent again with identical bytes."""
    return Retry(code, whole=True)
