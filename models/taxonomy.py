"""One table of everything that can go wrong with a record: code x category, attempts, what becomes of it, who hears."""

from dataclasses import dataclass
from enum import StrEnum

from models.outcome import ErrorCategory, Failure


class DlqAction(StrEnum):
    """What happens to the record when its attempts are used up."""

    STORE = "STORE"
    STORE_AND_ALERT = "STORE_AND_ALERT"
    PAUSE = "PAUSE"
    """Never a dead letter: the stage waits until the world works again (P7)."""
    RESTART = "RESTART"
    """Never a dead letter: the slot starts again from its committed offsets."""


class Alert(StrEnum):
    """When an operator hears of it."""

    ALWAYS = "always"
    RATE_LIMITED = "rate-limited"
    ON_RATE = "on-rate"
    AFTER_5_MINUTES = "after-5-minutes"


@dataclass(frozen=True, slots=True)
class ClassifiedError:
    """How one kind of failure is handled. `attempts` counts the first one; 0 = until it works."""

    failure: Failure
    category: ErrorCategory
    attempts: int
    action: DlqAction
    alert: Alert


TAXONOMY: tuple[ClassifiedError, ...] = (
    ClassifiedError(
        Failure.PARSE_ERROR, ErrorCategory.POISON_MESSAGE, 1, DlqAction.STORE_AND_ALERT, Alert.RATE_LIMITED
    ),
    ClassifiedError(
        Failure.VALIDATION_ERROR, ErrorCategory.POISON_MESSAGE, 1, DlqAction.STORE_AND_ALERT, Alert.RATE_LIMITED
    ),
    ClassifiedError(Failure.TRANSFORMATION_ERROR, ErrorCategory.PERMANENT, 1, DlqAction.STORE, Alert.ALWAYS),
    ClassifiedError(Failure.ENRICHMENT_ERROR, ErrorCategory.TRANSIENT, 5, DlqAction.STORE, Alert.ON_RATE),
    ClassifiedError(Failure.EVENTBRIDGE_ERROR, ErrorCategory.PERMANENT, 1, DlqAction.STORE, Alert.ALWAYS),
    ClassifiedError(Failure.EVENTBRIDGE_ERROR, ErrorCategory.THROTTLING, 0, DlqAction.PAUSE, Alert.AFTER_5_MINUTES),
    ClassifiedError(Failure.EVENTBRIDGE_ERROR, ErrorCategory.TRANSIENT, 3, DlqAction.PAUSE, Alert.ALWAYS),
    ClassifiedError(Failure.EVENTBRIDGE_ERROR, ErrorCategory.CONFIGURATION, 0, DlqAction.PAUSE, Alert.ALWAYS),
    ClassifiedError(Failure.STATE_ERROR, ErrorCategory.TRANSIENT, 5, DlqAction.RESTART, Alert.ALWAYS),
)

CATEGORY_OF: dict[Failure, ErrorCategory] = {}
"""The category of a failure that made a dead letter: the first row of its code."""
for _row in TAXONOMY:
    CATEGORY_OF.setdefault(_row.failure, _row.category)


def handling(failure: Failure, category: ErrorCategory | None = None) -> ClassifiedError:
    """The row for a failure, by default the one that ends in a dead letter."""
    wanted = CATEGORY_OF[failure] if category is None else category
    return next(row for row in TAXONOMY if row.failure is failure and row.category is wanted)
