"""What an error code of AWS means, whichever service says it."""

import pytest

from models.outcome import ErrorCategory
from workers.aws.errors import AwsDenied, AwsError, AwsThrottled, AwsUnavailable, aws_error, category_of


@pytest.mark.parametrize(
    ("code", "status", "kind", "category"),
    [
        ("AccessDeniedException", 400, AwsDenied, ErrorCategory.CONFIGURATION),
        ("ExpiredTokenException", 400, AwsDenied, ErrorCategory.CONFIGURATION),
        ("IncompleteSignature", 400, AwsDenied, ErrorCategory.CONFIGURATION),
        ("InternalFailure", 500, AwsUnavailable, ErrorCategory.TRANSIENT),
        ("NotAuthorized", 400, AwsDenied, ErrorCategory.CONFIGURATION),
        ("OptInRequired", 403, AwsDenied, ErrorCategory.CONFIGURATION),
        ("RequestAbortedException", 400, AwsUnavailable, ErrorCategory.TRANSIENT),
        ("RequestEntityTooLargeException", 413, AwsError, ErrorCategory.PERMANENT),
        ("RequestExpired", 400, AwsDenied, ErrorCategory.CONFIGURATION),
        ("RequestTimeoutException", 408, AwsUnavailable, ErrorCategory.TRANSIENT),
        ("ServiceUnavailable", 503, AwsUnavailable, ErrorCategory.TRANSIENT),
        ("ThrottlingException", 400, AwsThrottled, ErrorCategory.THROTTLING),
        ("UnknownOperationException", 404, AwsError, ErrorCategory.CONFIGURATION),
        ("UnrecognizedClientException", 403, AwsDenied, ErrorCategory.CONFIGURATION),
        ("ValidationError", 400, AwsError, ErrorCategory.PERMANENT),
    ],
)
def test_what_every_service_of_aws_may_answer_is_known(
    code: str, status: int, kind: type[AwsError], category: ErrorCategory
) -> None:
    """Source: AWS API references, "Common Error Types"."""
    assert type(aws_error(code, "", status)) is kind
    assert category_of(code) is category


@pytest.mark.parametrize(
    "code",
    ["RequestThrottled", "RequestThrottledException", "ThrottledException", "BandwidthLimitExceeded", "SlowDown"],
)
def test_a_throttle_is_one_by_whatever_name_a_service_has_for_it(code: str) -> None:
    """Source: SQS API reference; botocore's retry handlers."""
    assert type(aws_error(code, "", 400)) is AwsThrottled


@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_denial_is_one_by_its_status_if_nobody_knows_its_code(status: int) -> None:
    assert type(aws_error("NeverHeardOf", "", status)) is AwsDenied
