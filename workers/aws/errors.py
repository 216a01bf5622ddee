"""What an AWS call can end with, sorted by what the caller does about it."""

import re
from collections import Counter

from models.outcome import ErrorCategory

MOST_CODES = 32
OTHER = "other"


class AwsError(Exception):
    """A call failed. `code` is AWS's error code; the text is never the request (P6)."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code


class AwsThrottled(AwsError):
    """Too many calls: slow down and go on."""


class AwsUnavailable(AwsError):
    """A time-out, a broken connection or a 5xx: the outcome is unknown."""


class AwsDenied(AwsError):
    """Credentials or permissions: an operator has to act."""


THROTTLED = frozenset({
    "ProvisionedThroughputExceededException", "ThrottlingException", "Throttling", "RequestLimitExceeded",
    "LimitExceededException", "TooManyRequestsException", "KMSThrottlingException", "SlowDown", "RequestThrottled",
    "RequestThrottledException", "ThrottledException", "BandwidthLimitExceeded", "PriorRequestNotComplete",
})  # fmt: skip
DENIED = frozenset({
    "AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidClientTokenId",
    "InvalidSignatureException", "SignatureDoesNotMatch", "ExpiredTokenException", "ExpiredToken",
    "MissingAuthenticationToken", "IncompleteSignature", "OptInRequired", "NotAuthorizedException",
    "KMSAccessDeniedException", "NotAuthorized", "RequestExpired", "RequestTimeTooSkewed", "InvalidAccessKeyId",
})  # fmt: skip


ABSENT = frozenset({
    "ResourceNotFoundException", "ResourceNotFound", "InvalidStateException", "InvalidState",
    "InvalidAccountIdException",
    "NotAuthorizedForSourceException", "NotAuthorizedForDetailTypeException", "PolicyLengthExceededException",
    "UnknownOperationException",
})  # fmt: skip
"""What is not there or not allowed to be used so, until an operator changes it. For PutEvents: a shard that is gone is
no matter of configuration."""
PASSING = frozenset({
    "InternalFailure", "InternalException", "InternalError", "Internal", "InternalServerError", "InternalServiceError",
    "ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout", "RequestTimeoutException",
    "RequestAbortedException",
})  # fmt: skip
REFUSED = frozenset({
    "InvalidArgument", "MalformedDetail", "RedactionFailure", "ValidationException", "ValidationError",
    "InvalidInputException", "InvalidParameterValue", "SerializationException", "RequestEntityTooLarge",
    "RequestEntityTooLargeException",
})  # fmt: skip


def category_of(code: str) -> ErrorCategory | None:
    """How an error code is handled where a record is delivered; None: AWS has told of no such code yet."""
    if code in THROTTLED:
        return ErrorCategory.THROTTLING
    if code in DENIED or code in ABSENT:
        return ErrorCategory.CONFIGURATION
    if code in PASSING:
        return ErrorCategory.TRANSIENT
    return ErrorCategory.PERMANENT if code in REFUSED else None


def aws_error(code: str, message: str, status: int) -> AwsError:
    """The error class of a code and an HTTP status."""
    if code in THROTTLED or status == 429:
        return AwsThrottled(code, message)
    if code in DENIED or status in {401, 403, 407}:
        return AwsDenied(code, message)
    if code in PASSING or status >= 500:
        return AwsUnavailable(code, message)
    return AwsError(code, message)


class ErrorCodes(Counter[str]):
    """Failures by code. Codes come from outside: what does not look like one, and more of them than AWS has for these
    calls, are `other`."""

    def count(self, code: str) -> None:
        """One more."""
        known = code in self or (len(self) < MOST_CODES and _CODE.fullmatch(code) is not None)
        self[code if known else OTHER] += 1


_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:]{0,63}", re.ASCII)
