"""The tables of `cdc status`: they name the source where there are several."""

import pytest

from workers.audit.counts import Counted, Forwarded
from workers.audit.report import Audit
from workers.audit.verdicts import Check, Line, Verdict
from workers.cli.status import _audit_lines, _status_lines
from workers.eventbridge.bus_sight import Sight
from workers.kafka.groups import GroupState
from workers.status import BusStatus, PartitionStatus, ShardStatus, StageStatus, StandstillStatus

GROUP = GroupState("Empty", ())
TOPICS = {"core": "cdc.raw.core", "orders": "cdc.raw.orders"}


def partition(source: str | None) -> PartitionStatus:
    topic = TOPICS[source] if source is not None else "cdc.events"
    return PartitionStatus(topic, source, 0, Counted(10, 0, {"in": 10, "out": 10}), 12)


def shard(source: str | None, stream: str) -> ShardStatus:
    told = Forwarded(stream, "shardId-000000000000", 3, "ACTIVE", (1, 0), None, 5, 0)
    return ShardStatus(told, source, TOPICS.get(source or ""))


def table(*stages: StageStatus) -> list[list[str]]:
    """Rows of the table that ends what is shown."""
    lines = list(_status_lines(stages))
    return [line.split() for line in lines[len(lines) - lines[::-1].index("") :]]


def test_partitions_of_several_sources_are_told_apart() -> None:
    rows = table(
        StageStatus("enrich", GROUP, (partition("core"), partition("orders"))),
        StageStatus("publish", GROUP, (partition(None),)),
    )
    assert rows[0][:3] == ["STAGE", "SOURCE", "PARTITION"]
    assert [row[:3] for row in rows[1:]] == [["enrich", "core", "0"], ["enrich", "orders", "0"], ["publish", "-", "0"]]


def test_a_single_source_is_not_named() -> None:
    rows = table(StageStatus("enrich", GROUP, (partition("core"),)), StageStatus("publish", GROUP, (partition(None),)))
    assert rows[0][:2] == ["STAGE", "PARTITION"]
    assert [row[:2] for row in rows[1:]] == [["enrich", "0"], ["publish", "0"]]


def redriven(end: int) -> PartitionStatus:
    return PartitionStatus("cdc.redrive.enrich", None, 0, Counted(end, 0, {"in": end, "out": end}), end, redriven=True)


def test_what_is_redriven_has_a_row_as_soon_as_there_is_something() -> None:
    rows = table(StageStatus("enrich", GROUP, (partition("core"), redriven(3))))
    assert [row[:3] for row in rows[1:]] == [["enrich", "core", "0"], ["enrich", "redriven", "0"]]
    rows = table(StageStatus("enrich", GROUP, (partition("core"), redriven(0))))
    assert [row[:2] for row in rows[1:]] == [["enrich", "0"]]


def test_a_stage_that_stands_still_says_where_since_when_and_why() -> None:
    stop = StandstillStatus("cdc.raw.core", 3, 1768473060412, "200 of the last 1,000 records")
    stage = StageStatus("enrich", GROUP, (partition("core"),), standstills=(stop,))
    assert list(_status_lines([stage]))[1] == (
        "    stands still since 2026-01-15T10:31:00Z at cdc.raw.core/3: 200 of the last 1,000 records"
    )
    assert stage.document()["standstills"] == [
        {"topic": "cdc.raw.core", "partition": 3, "since": 1768473060412, "why": stop.why}
    ]


def test_a_shard_that_no_source_reads_is_shown_with_its_stream() -> None:
    gone = "arn:aws:kinesis:eu-west-1:111111111111:stream/cdc"
    rows = table(StageStatus("bridge", GROUP, shards=(shard("core", "cdc"), shard(None, gone))))
    assert [row[0] for row in rows] == ["SOURCE", "core", gone]


def test_json_rows_tell_topic_and_stream() -> None:
    document = StageStatus("bridge", GROUP, (partition("orders"),), (shard("core", "cdc"),)).document()
    assert document["partitions"][0]["topic"] == "cdc.raw.orders"
    told = {name: document["shards"][0][name] for name in ("source", "topic", "stream", "arn")}
    assert told == {"source": "core", "topic": "cdc.raw.core", "stream": "cdc", "arn": None}


def audit(*sources: str) -> Audit:
    lines = tuple(
        Line("enrich", TOPICS[source], 0, Counted(10, 0, {}), (Check("position", Verdict.OK),)) for source in sources
    )
    return Audit(("enrich",), TOPICS, lines, {}, {}, {}, {})


def test_an_audit_names_the_source_of_a_line_if_there_are_several() -> None:
    assert [line.split()[1] for line in _audit_lines(audit("core", "orders"))] == ["SOURCE", "core", "orders"]
    assert [line.split()[1] for line in _audit_lines(audit("core"))] == ["PARTITION", "0"]


@pytest.mark.parametrize(
    ("sight", "trouble", "told"),
    [(Sight(True), "", "there"), (Sight(False), "", "missing"), (None, "AccessDenied", "not seen (AccessDenied)")],
)
def test_publish_says_whether_its_bus_is_there(sight: Sight | None, trouble: str, told: str) -> None:
    stage = StageStatus("publish", GROUP, bus=BusStatus("cdc-events", sight, trouble))
    assert next(_status_lines([stage])) == f"publish: group Empty, 0 members; bus cdc-events: {told}"
    assert stage.document()["bus"]["trouble"] == trouble
