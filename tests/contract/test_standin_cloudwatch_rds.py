"""CloudWatch and RDS of the stand-in, through unmodified boto3."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import client, clock, control, refused, stand_in

__all__ = ["clock", "control", "stand_in"]  # fixtures


@pytest.fixture
def cloudwatch(stand_in: StandIn) -> Any:
    return client("cloudwatch", stand_in.url)


def alarm(cloudwatch: Any, name: str) -> None:
    cloudwatch.put_metric_alarm(
        AlarmName=name, MetricName="Errors", Namespace="CdcWorker", Statistic="Sum", Period=300, EvaluationPeriods=2,
        Threshold=10, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip


def test_an_alarm_is_described_with_its_state(cloudwatch: Any) -> None:
    for name in ("one", "two", "other"):
        alarm(cloudwatch, name)
    cloudwatch.set_alarm_state(AlarmName="two", StateValue="ALARM", StateReason="because")
    found = cloudwatch.describe_alarms(AlarmNames=["one", "two", "nobody"])["MetricAlarms"]
    assert {one["AlarmName"]: one["StateValue"] for one in found}["two"] == "ALARM"
    assert {one["AlarmName"] for one in found} == {"one", "two"}


def test_metrics_that_were_put_are_counted(cloudwatch: Any) -> None:
    now = datetime.now(UTC)
    dimensions = [{"Name": "App", "Value": "cdc"}]
    cloudwatch.put_metric_data(
        Namespace="CdcWorker",
        MetricData=[{"MetricName": "Errors", "Dimensions": dimensions, "Timestamp": now, "Value": 3.0}] * 2,
    )
    found = cloudwatch.get_metric_statistics(
        Namespace="CdcWorker", MetricName="Errors", Dimensions=dimensions, StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=10), Period=3600, Statistics=["Sum"],
    )["Datapoints"]  # fmt: skip
    assert [point["Sum"] for point in found] == [6.0]


def test_metrics_can_be_throttled_and_denied(cloudwatch: Any, control: StandInControl) -> None:
    control.fault("throttle", "PutMetricData", service="cloudwatch", times=1)
    with refused("ThrottlingException"):
        cloudwatch.put_metric_data(Namespace="CdcWorker", MetricData=[{"MetricName": "Errors", "Value": 1.0}])
    control.fault("access_denied", "DescribeAlarms", service="cloudwatch", times=1)
    with refused("AccessDenied", 403):
        cloudwatch.describe_alarms(AlarmNames=["one"])


def test_what_else_cloudwatch_can_do_is_not_offered(cloudwatch: Any) -> None:
    with refused("NotImplemented", 501):
        cloudwatch.list_dashboards()


def test_an_instance_and_a_cluster_have_the_states_of_rds(stand_in: StandIn, control: StandInControl) -> None:
    rds = client("rds", stand_in.url)
    rds.create_db_instance(DBInstanceIdentifier="core", DBInstanceClass="db.t3.micro", Engine="postgres")
    rds.create_db_cluster(
        DBClusterIdentifier="core", Engine="aurora-postgresql", MasterUsername="u", MasterUserPassword="password"
    )
    rds.stop_db_instance(DBInstanceIdentifier="core")
    (instance,) = rds.describe_db_instances(DBInstanceIdentifier="core")["DBInstances"]
    (cluster,) = rds.describe_db_clusters(DBClusterIdentifier="core")["DBClusters"]
    assert (instance["DBInstanceStatus"], cluster["Status"]) == ("stopped", "available")
    with refused("DBInstanceNotFound", 404):
        rds.describe_db_instances(DBInstanceIdentifier="nobody")
    control.reset()
    assert rds.describe_db_instances()["DBInstances"] == []
