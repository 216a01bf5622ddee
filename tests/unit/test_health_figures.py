"""What CloudWatch hears: figures folded from the metrics, and nothing lost while it does not listen."""

from typing import Any

from prometheus_client.samples import Sample

from tests.unit.health_stage import publish_stage
from workers.aws.errors import AwsThrottled
from workers.engine.stages import Stage
from workers.health.cloudwatch import LONGEST_PAUSE, CloudWatchReporter
from workers.health.figures import FIGURES, Tally


def told(tally: Tally) -> dict[tuple[str, ...], float]:
    return {
        (one["MetricName"], *(dimension["Value"] for dimension in one["Dimensions"][1:])): one["Value"]
        for one in tally.message()
    }


def scrape(*samples: tuple[str, dict[str, str], float]) -> list[Sample]:
    return [Sample(*sample) for sample in samples]


def test_counters_are_told_by_what_they_grew() -> None:
    tally = Tally("cdc")
    errors = {"bus": "b", "code": "InternalFailure"}
    for value in (3.0, 5.0):
        tally.take(scrape(("cdc_publish_errors_total", errors, value)), {"enrich": int(value)})
        tally.sent()
    tally.take(scrape(("cdc_publish_errors_total", errors, 9.0)), {"enrich": 7})
    assert (told(tally)[("Errors",)], told(tally)[("DeadLetters",)]) == (4.0, 2.0)


def test_a_stage_that_begins_anew_counts_from_nought() -> None:
    tally = Tally("cdc")
    for value in (5.0, 2.0):
        tally.sent()
        tally.take(scrape(("cdc_stage_restarts_total", {"stage": "enrich"}, value)), {"enrich": int(value)})
    assert (told(tally)[("Errors",)], told(tally)[("DeadLetters",)]) == (2.0, 2.0)


def test_throttles_rebalances_and_answers_are_no_errors() -> None:
    tally = Tally("cdc")
    tally.take(
        scrape(
            ("cdc_source_errors_total", {"code": "ProvisionedThroughputExceededException"}, 50),
            ("cdc_source_errors_total", {"code": "ExpiredIteratorException"}, 1),
            ("cdc_txn_aborts_total", {"stage": "enrich", "reason": "fenced"}, 2),
            ("cdc_database_queries_total", {"lookup": "users", "outcome": "answered"}, 9),
            ("cdc_database_queries_total", {"lookup": "users", "outcome": "failed"}, 1),
        ),
        {},
    )
    assert told(tally)[("Errors",)] == 1.0


def test_of_states_the_worst_since_the_last_message_is_told() -> None:
    tally = Tally("cdc")
    for ready, behind, health in ((0, 40.0, 3.0), (1, 2.0, 0.0)):
        tally.take(
            scrape(
                ("cdc_stage_ready", {"stage": "enrich"}, ready), ("cdc_stage_ready", {"stage": "bridge"}, 1),
                ("cdc_source_seconds_behind", {"source": "core", "shard": "s-1"}, behind),
                ("cdc_source_seconds_behind", {"source": "core", "shard": "s-2"}, 1.0),
                ("cdc_health_check_state", {"check": "bus"}, health), ("cdc_health_check_state", {"check": "kafka"}, 1),
                ("cdc_publish_oldest_seconds", {}, 0.5), ("cdc_canary_seconds", {"source": "core"}, 0.4),
            ), {},
        )  # fmt: skip
    found = told(tally)
    assert found == {
        ("Errors",): 0, ("DeadLetters",): 0, ("NotReady",): 1, ("SecondsBehind",): 40, ("SecondsWaiting",): 0.5,
        ("CanarySeconds",): 0.4, ("HealthState",): 3, ("HealthState", "bus"): 3, ("HealthState", "kafka"): 1,
    }  # fmt: skip
    assert {name for name, *_ in found} == {figure.name for figure in FIGURES}


class CloudWatch:
    """Takes messages, or refuses them."""

    def __init__(self) -> None:
        self.refuses = False
        self.got: list[dict[str, float]] = []

    async def send(self, data: list[dict[str, Any]]) -> None:
        if self.refuses:
            raise AwsThrottled("ThrottlingException")
        self.got.append({one["MetricName"]: one["Value"] for one in data})


async def test_what_cloudwatch_refuses_goes_with_the_next_message_and_the_pause_grows() -> None:
    cloudwatch, (stage, app) = CloudWatch(), publish_stage(0)
    app.slots.stats = _stats()
    reporter = CloudWatchReporter([stage], cloudwatch.send, Tally("cdc"), interval=60, timeout=5)
    cloudwatch.refuses = True
    pauses = []
    for dead in (2, 3, 3, 3, 3):
        app.slots.stats.outcomes["dead"] = dead
        await reporter.tell()
        pauses.append(reporter.pause)
    assert pauses == [120, 240, 480, LONGEST_PAUSE, LONGEST_PAUSE]
    cloudwatch.refuses = False
    for dead in (4, 4):
        app.slots.stats.outcomes["dead"] = dead
        await reporter.tell()
    assert [message["DeadLetters"] for message in cloudwatch.got] == [4, 0]
    assert reporter.pause == 60
    assert [(sample.labels, sample.value) for sample in reporter.measure()] == [(("ThrottlingException",), 5)]


async def test_a_stage_without_an_app_is_not_ready() -> None:
    cloudwatch = CloudWatch()
    no: Any = None
    await CloudWatchReporter([Stage("enrich", no, no)], cloudwatch.send, Tally("cdc"), interval=60, timeout=5).tell()
    assert cloudwatch.got[0]["NotReady"] == 1


def _stats() -> Any:
    from workers.engine.stats import Stats

    return Stats()
