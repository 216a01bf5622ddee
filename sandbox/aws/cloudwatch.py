"""Metrics and alarms of CloudWatch, in the JSON protocol of today's clients and the query protocol of older ones; see
moto_service."""

from sandbox.aws.errors import AwsError
from sandbox.aws.moto_service import Dispatch, MotoService, posting
from sandbox.aws.place import Place

SIGNED_FOR = "monitoring"
OPERATIONS = (
    "PutMetricData", "ListMetrics", "GetMetricStatistics", "PutMetricAlarm", "DescribeAlarms", "DeleteAlarms",
    "SetAlarmState",
)  # fmt: skip


def cloudwatch(place: Place) -> MotoService:
    """The metrics of one account in one region."""
    return MotoService("cloudwatch", OPERATIONS, lambda: _moto(place))


def as_cloudwatch(error: AwsError) -> AwsError:
    """CloudWatch denies with another status than services that speak JSON alone."""
    return AwsError("AccessDenied", error.message, 403) if error.code == "AccessDeniedException" else error


def _moto(place: Place) -> Dispatch:
    from moto.cloudwatch.models import CloudWatchBackend  # noqa: PLC0415  takes a second to import
    from moto.cloudwatch.responses import CloudWatchResponse  # noqa: PLC0415

    own = CloudWatchBackend(place.region, place.account)

    class Answers(CloudWatchResponse):
        cloudwatch_backend = own  # of this stand-in alone; moto's own is one for the process

    return posting(Answers, f"{SIGNED_FOR}.{place.region}.amazonaws.com", place.account)
