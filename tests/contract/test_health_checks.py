"""What checks of dependencies say of what the stand-in answers, through the real clients."""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.catalogue import Catalogue
from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import SESSION, client, clock, control, stand_in
from tests.unit.health_stage import publish_stage
from workers.contract import read_catalogue
from workers.failures import ConfigurationError, ExitCode
from workers.health.examination import Examination
from workers.health.services import health_services
from workers.health.verdicts import HealthReport, State
from workers.settings.worker import Settings

__all__ = ["clock", "control", "stand_in"]  # fixtures

SECRET = "abracadabra-of-the-parameter"
TOPIC = "arn:aws:sns:us-east-1:000000000000:alerts"


@pytest.fixture(autouse=True)
def one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.aws.client.boto3.Session", lambda **_: SESSION)


def settings(stand_in: StandIn, **more: Any) -> Settings:
    named: dict[str, Any] = {
        "kinesis_stream_name": "health-stream",
        "event_bus_name": "health-bus",
        "health_timeout": 30,
    }
    return Settings(_env_file=None, aws_endpoint_url=stand_in.url, max_retry_attempts=1, **(named | more))


async def look(stand_in: StandIn, *only: str, **more: Any) -> HealthReport:
    examination = Examination(settings(stand_in, **more), Catalogue(()), now_ms=lambda: 0, monotonic=lambda: 0.0)
    return await examination.round(only)


def states(report: HealthReport) -> dict[str, State]:
    return {verdict.subject: verdict.state for verdict in report.verdicts}


async def test_streams_and_buses_are_there_or_missing(stand_in: StandIn) -> None:
    found = await look(stand_in, "kinesis", "bus")
    assert states(found) == {"core": State.FAILED, "health-bus": State.FAILED}
    assert (found.event_bridge, found.exit_code) == ("IN_ALARM", ExitCode.UNREACHABLE)
    client("kinesis", stand_in.url).create_stream(StreamName="health-stream", ShardCount=1)
    client("events", stand_in.url).create_event_bus(Name="health-bus")
    found = await look(stand_in, "kinesis", "bus")
    assert (found.state, found.event_bridge, found.exit_code) == (State.OK, "OK", ExitCode.OK)


async def test_a_look_at_a_bus_that_is_denied_is_unknown_and_silence_is_an_alarm(
    stand_in: StandIn, control: StandInControl
) -> None:
    control.fault("access_denied", "DescribeEventBus", service="events", times=1)
    found = await look(stand_in, "bus")
    assert (found.state, found.event_bridge, found.exit_code) == (State.UNKNOWN, "UNKNOWN", ExitCode.DENIED)
    assert "events:DescribeEventBus" in found.verdicts[0].action
    control.fault("unavailable", "DescribeEventBus", service="events", times=1)
    found = await look(stand_in, "bus")
    assert (found.state, found.event_bridge, found.exit_code) == (State.FAILED, "IN_ALARM", ExitCode.UNREACHABLE)


async def test_alarms_say_how_the_bus_is(stand_in: StandIn) -> None:
    cloudwatch = client("cloudwatch", stand_in.url)
    client("events", stand_in.url).create_event_bus(Name="health-bus")
    for name in ("quiet", "loud"):
        cloudwatch.put_metric_alarm(
            AlarmName=name, MetricName="Errors", Namespace="CdcWorker", Statistic="Sum", Period=300,
            EvaluationPeriods=2, Threshold=10, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="test")
    assert (await look(stand_in, "bus", "alarms", health_alarms="quiet, loud")).event_bridge == "OK"
    cloudwatch.set_alarm_state(AlarmName="loud", StateValue="ALARM", StateReason="test")
    found = await look(stand_in, "bus", "alarms", health_alarms="quiet,loud,nobody")
    assert states(found) == {
        "health-bus": State.OK, "quiet": State.OK, "loud": State.DEGRADED, "nobody": State.UNKNOWN,
    }  # fmt: skip
    assert (found.event_bridge, found.exit_code) == ("IN_ALARM", ExitCode.PARTIAL)


async def test_databases_of_rds_are_found_by_name_as_clusters_and_by_arn(stand_in: StandIn) -> None:
    rds = client("rds", stand_in.url)
    rds.create_db_instance(DBInstanceIdentifier="core", DBInstanceClass="db.t3.micro", Engine="postgres")
    rds.create_db_cluster(
        DBClusterIdentifier="core", Engine="aurora-postgresql", MasterUsername="u", MasterUserPassword="password"
    )
    arn = "arn:aws:rds:us-east-1:000000000000:cluster:core"
    found = await look(stand_in, "rds", health_rds=f"core,cluster:core,{arn}")
    assert (states(found), found.database) == (dict.fromkeys(("core", "cluster:core", arn), State.OK), "AVAILABLE")
    rds.stop_db_cluster(DBClusterIdentifier="core")
    found = await look(stand_in, "rds", health_rds="core,cluster:core,lost")
    assert states(found) == {"core": State.OK, "cluster:core": State.FAILED, "lost": State.FAILED}
    assert found.database == "UNAVAILABLE"


async def test_a_parameter_is_looked_for_and_its_value_is_nowhere(
    stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "cdc")
    client("ssm", stand_in.url).put_parameter(Name="/cdc/url", Value=SECRET, Type="String")
    named = {"ssm_database_url": "/cdc/url", "ssm_redaction_key": "/cdc/none"}
    found = await look(stand_in, "ssm", **named)
    assert states(found) == {"/cdc/url": State.OK, "/cdc/none": State.DEGRADED}
    assert SECRET not in json.dumps(found.document()) + repr(found) + caplog.text


async def test_where_dead_letters_go_is_looked_at(stand_in: StandIn) -> None:
    named = {
        "archive_bucket": "health-letters", "dlq_queue_url": f"{stand_in.url}/000000000000/letters",
        "alert_topic_arn": TOPIC,
    }  # fmt: skip
    assert set(states(await look(stand_in, "archive", **named)).values()) == {State.FAILED}
    client("s3", stand_in.url).create_bucket(Bucket="health-letters")
    client("sqs", stand_in.url).create_queue(QueueName="letters")
    client("sns", stand_in.url).create_topic(Name="alerts")
    assert set(states(await look(stand_in, "archive", **named)).values()) == {State.OK}


def test_only_what_settings_name_is_looked_at(stand_in: StandIn) -> None:
    def checks(**more: Any) -> frozenset[str]:
        return Examination(settings(stand_in, **more), Catalogue(()), now_ms=int, monotonic=float).checks

    assert checks() == {"kafka", "kinesis", "bus"}
    assert checks(health_rds="core", database_url="postgresql://u:p@h/d", ssm_redaction_key="/k") == {
        "kafka", "kinesis", "bus", "rds", "postgres", "ssm",
    }  # fmt: skip


async def test_a_worker_tells_cloudwatch_under_its_namespace(stand_in: StandIn) -> None:
    from workers.engine.stats import Stats

    stage, app = publish_stage(0)
    app.slots.stats = Stats()
    (reporter, *_) = health_services([stage], settings(stand_in, health_cloudwatch=True, health_namespace="Cdc/Test"))
    await reporter.tell()
    now = datetime.now(UTC)
    found = client("cloudwatch", stand_in.url).get_metric_statistics(
        Namespace="Cdc/Test", MetricName="NotReady", Dimensions=[{"Name": "App", "Value": "cdc"}], Period=3600,
        StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1), Statistics=["Maximum"],
    )["Datapoints"]  # fmt: skip
    assert [point["Maximum"] for point in found] == [0.0]


async def test_a_canary_is_put_on_the_stream_under_the_key_of_its_row(stand_in: StandIn) -> None:
    kinesis = client("kinesis", stand_in.url)
    kinesis.create_stream(StreamName="health-stream", ShardCount=1)
    stage, _ = publish_stage(0)
    (_, sender, _) = health_services([stage], settings(stand_in, canary=True))
    await sender.look()
    iterator = kinesis.get_shard_iterator(
        StreamName="health-stream", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    (record,) = kinesis.get_records(ShardIterator=iterator)["Records"]
    document = json.loads(record["Data"])
    assert document["metadata"]["table-name"] == "cdc_canary"
    assert document["data"]["id"] == record["PartitionKey"]


def test_the_services_are_those_that_settings_switch_on(stand_in: StandIn) -> None:
    stage, _ = publish_stage(0)

    def names(stages: list[Any], **more: Any) -> list[str]:
        return [type(service).__name__ for service in health_services(stages, settings(stand_in, **more))]

    assert names([stage]) == ["HealthWatch", "LetterDepth"]
    assert names([stage], health_interval=0) == []
    assert names([stage], health_interval=0, canary=True) == ["HealthWatch", "CanarySender"]
    assert names([], health_cloudwatch=True, canary=True) == ["CloudWatchReporter"]


def test_the_name_of_the_canary_is_taken_only_while_it_flies(stand_in: StandIn, tmp_path: Any) -> None:
    path = tmp_path / "tables.yaml"
    path.write_text("version: 1\ntables:\n  - {table: cdc_canary, entity: x, key: [id]}\n")
    assert read_catalogue(settings(stand_in, tables=path)).named("cdc_canary") is not None
    with pytest.raises(ConfigurationError, match="cdc_canary"):
        read_catalogue(settings(stand_in, tables=path, canary=True))
    assert read_catalogue(settings(stand_in, canary=True)).named("cdc_canary") is not None
