"""The kinds of faults the stand-in can be told to have, and what each of them looks like on the wire."""

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.aws.errors import AwsError

DATA_CALLS = frozenset({"PutRecord", "PutRecords", "GetRecords", "GetShardIterator"})
KMS_CALLS = frozenset({"PutRecord", "PutRecords", "GetRecords", "StartStreamEncryption"})
PUT_EVENTS = "events.PutEvents"
PUT_EVENTS_V2 = "eventsv2.PutEvents"
BATCHES: Mapping[str, tuple[str, str]] = {
    "kinesis.PutRecords": ("Records", "FailedRecordCount"),
    PUT_EVENTS: ("Entries", "FailedEntryCount"),
    PUT_EVENTS_V2: ("Entries", "FailedEntryCount"),
}
"""Calls that may fail for some of their entries: the member that has these, and the one that counts the failed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`code` and `status` are those of the error, if it is one; `calls` those it can happen to, None for all."""

    code: str = ""
    status: int = 400
    calls: frozenset[str] | None = None


def _kms(code: str) -> Kind:
    return Kind(code, calls=frozenset(f"kinesis.{name}" for name in KMS_CALLS))


KINDS: Mapping[str, Kind] = {
    "throttle": Kind(),  # each service has its own code: see throttle_code
    "internal_failure": Kind("InternalFailure", 500),
    "unavailable": Kind("ServiceUnavailable", 503),
    "access_denied": Kind("AccessDeniedException"),
    "expired_token": Kind("ExpiredTokenException"),
    "error": Kind(),  # whatever the rule says
    "expired_iterator": Kind("ExpiredIteratorException", calls=frozenset({"kinesis.GetRecords"})),
    "kms_access_denied": _kms("KMSAccessDeniedException"),
    "kms_disabled": _kms("KMSDisabledException"),
    "kms_invalid_state": _kms("KMSInvalidStateException"),
    "kms_not_found": _kms("KMSNotFoundException"),
    "kms_opt_in_required": _kms("KMSOptInRequired"),
    "kms_throttling": _kms("KMSThrottlingException"),
    "partial": Kind(calls=frozenset(BATCHES)),
    "entry": Kind(calls=frozenset(BATCHES)),
    "short": Kind(calls=frozenset(BATCHES)),
    "slow": Kind(),
    "cut_before": Kind(),
    "cut_after": Kind(),
    "truncate": Kind(),
}
# These say nothing about the answer, or cut it off: they have no error of their own.
SILENT = frozenset({"partial", "entry", "short", "slow", "cut_before", "cut_after", "truncate"})
# These are asked once the rest of the call is settled, and say which entries of its batch fail.
OF_ENTRIES = frozenset({"partial", "entry"})


OF_EVENTS_V2: Mapping[str, tuple[str, int]] = {
    "throttle": ("ThrottlingException", 429),
    "internal_failure": ("InternalException", 500),
    "access_denied": ("AccessDeniedException", 403),
}
"""Code and status where the model of Custom Event Buses has its own."""
TOLD = "A fault rule of the stand-in says so."


def throttle_code(call: str) -> str:
    """The service models have one code for reading and writing, others for everything else."""
    service, _, operation = call.partition(".")
    match service:
        case "kinesis":
            return "ProvisionedThroughputExceededException" if operation in DATA_CALLS else "LimitExceededException"
        case "sqs":
            return "RequestThrottled"
        case "s3":
            return "SlowDown"
        case "sns":
            return "Throttling"
        case _:
            return "ThrottlingException"


def refusal(kind: str, call: str, message: str | None) -> AwsError:
    """The error of a kind that has one."""
    found = KINDS[kind]
    code = throttle_code(call) if kind == "throttle" else found.code
    if call.startswith("eventsv2."):
        code, status = OF_EVENTS_V2.get(kind, (code, found.status))
        return AwsError(code, message or TOLD, status=status)
    return AwsError(code, message or TOLD, status=found.status)
