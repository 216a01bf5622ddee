"""Database instances and clusters of RDS, as far as they are described, in the query protocol; see moto_service. None
of them runs."""

from sandbox.aws.errors import AwsError
from sandbox.aws.moto_service import Dispatch, MotoService, posting
from sandbox.aws.place import Place

OPERATIONS = (
    "CreateDBInstance", "DescribeDBInstances", "StopDBInstance", "StartDBInstance", "DeleteDBInstance",
    "CreateDBCluster", "DescribeDBClusters", "StopDBCluster", "StartDBCluster", "DeleteDBCluster",
)  # fmt: skip


def rds(place: Place) -> MotoService:
    """The databases of one account in one region."""
    return MotoService("rds", OPERATIONS, lambda: _moto(place))


def as_rds(error: AwsError) -> AwsError:
    """RDS calls it AccessDenied."""
    return AwsError("AccessDenied", error.message, 403) if error.code == "AccessDeniedException" else error


def _moto(place: Place) -> Dispatch:
    from moto.rds.models import RDSBackend  # noqa: PLC0415  takes a second to import
    from moto.rds.responses import RDSResponse  # noqa: PLC0415

    own = RDSBackend(place.region, place.account)

    class Answers(RDSResponse):
        backend = own  # of this stand-in alone; moto's own is one for the process

    return posting(Answers, f"rds.{place.region}.amazonaws.com", place.account)
