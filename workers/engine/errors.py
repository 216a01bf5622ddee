"""Errors of a transaction, sorted before anything is retried: data, configuration, fenced, or anything else.

Only the last two ever touch the group. A record nobody can write must not make two workers rejoin for ever (measured:
16 rejoins in 25 s), and a topic nobody may write to is no reason to move the slot to another worker.
"""

from aiokafka import errors as kafka_errors


class EngineError(Exception):
    """Root of the engine's own errors. Texts hold names, offsets and sizes, never keys or values (P6)."""


class DataError(EngineError):
    """A record cannot be written, whoever tries: bisect the batch, then dead-letter the record."""


class ConfigurationRefused(EngineError):
    """Nobody in the group can write until an operator changes something: the slot pauses, not ready."""


class Fenced(EngineError):
    """The slot has another owner, or its transaction timed out: rejoin, never re-initialise in this generation."""


class Broken(EngineError):
    """The outcome of the transaction is unclear: a local re-initialisation finds out."""


class StaleBatch(EngineError):
    """The batch was fetched before a seek or a rebalance: skip it, it is delivered again."""


class HeldBack(StaleBatch):
    """An operator has paused the slot before the unit began: nothing is stale, and nothing goes on."""


class BootRefused(EngineError):
    """Offsets or changelogs are missing while other traces of an earlier boot exist; exit code 3."""


DATA = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidTimestampError,
)
CONFIGURATION = (
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.GroupAuthorizationFailedError,
    kafka_errors.TransactionalIdAuthorizationFailed,
    kafka_errors.ClusterAuthorizationFailedError,
    kafka_errors.UnknownTopicOrPartitionError,
    kafka_errors.InvalidTopicError,
    kafka_errors.PolicyViolationError,
    kafka_errors.OffsetMetadataTooLargeError,
)
FENCED = (kafka_errors.ProducerFenced, kafka_errors.InvalidProducerEpoch)


def sort_error(error: BaseException) -> EngineError:
    """The engine's word for what aiokafka raised. aiokafka wraps what its sender met, so the whole chain is read.

    Error code 87 (INVALID_RECORD) is unknown to aiokafka 0.14 and arrives as UnknownError: it counts as `Broken`.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, DATA):
            return DataError(type(seen).__name__)
        if isinstance(seen, CONFIGURATION):
            return ConfigurationRefused(type(seen).__name__)
        if isinstance(seen, FENCED):
            return Fenced(type(seen).__name__)
        if isinstance(seen, EngineError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return Broken(type(error).__name__)
