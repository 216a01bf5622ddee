"""Stages whose dead letters are tried again, as `cdc dlq redrive` does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from enrichers.pipeline import Pipeline, PipelineOptions
from models.catalogue import Catalogue
from models.dead_letter import DeadLetter
from models.raw import Origin, raw_headers
from models.redrive import DeadRecord, RedriveRecord, redrive_of
from models.routing import entity_key
from tests.unit.changes import dms
from workers.agents.enrich import Enrich, add_enrich
from workers.engine.app import StageApp
from workers.engine.options import EngineOptions
from workers.engine.testing import Input, StageKit
from workers.engine.virtual_time import VirtualTime
from workers.kafka.topics import Topics

PARTITIONS = 2
RAW, OTHER, DEAD, EVENTS = "cdc.raw.core", "cdc.raw.other", "cdc.dead", "cdc.events"
REDRIVE = {stage: f"cdc.redrive.{stage}" for stage in ("enrich", "publish")}
TOPICS = Topics(
    config="cdc.config", slots="cdc.slots", checkpoints="cdc.checkpoints", raw={"core": RAW, "other": OTHER},
    events=EVENTS, dead=DEAD, receipts="cdc.receipts", redrive=REDRIVE,
)  # fmt: skip
FIRST_MS = 1768473060412
"""Kafka timestamp of the first raw record of a test."""


@dataclass
class Tables:
    """What the enrich stage is configured with when it starts the next time."""

    catalogue: Catalogue
    clock: VirtualTime

    def app(self) -> StageApp:
        app = StageApp("cdc-enrich", EngineOptions(bootstrap="nowhere:9092", partitions=PARTITIONS))
        pipeline = Pipeline(self.catalogue, PipelineOptions(environment="LOCAL", redaction_key=b"k" * 32))
        enrich = Enrich(pipeline, TOPICS, PARTITIONS, self.catalogue.fingerprint, self.clock.now_ms)
        add_enrich(app, enrich)
        return app


def enriching(catalogue: Catalogue) -> tuple[Tables, StageKit]:
    """The stage, and what it is configured with."""
    clock = VirtualTime()
    tables = Tables(catalogue, clock)
    return tables, StageKit(tables.app, clock=clock)


def raw(
    table: str, number: int, columns: dict[str, Any], *, operation: str = "insert", at: int = 0, sequence: int = 0,
    identity: bool = True,
) -> Input:  # fmt: skip
    """A raw record of the row `ID` = number, committed `at` seconds after the hour and in Kafka a moment later."""
    moment = {"commit-timestamp": f"2026-01-15T10:{at // 60:02d}:{at % 60:02d}.000000Z"}
    value = dms(
        operation, {"ID": number} | columns, table=table, metadata=moment, transaction=at + 1 if identity else None
    )
    headers = raw_headers(
        Origin("stream", "shardId-000000000002", str(4966 + sequence + at), 0, FIRST_MS - 12),
        adapter="dms",
        table=table,
    )
    return Input(entity_key("core", table, (number,)), value, headers=headers, timestamp_ms=FIRST_MS + 1_000 * at)


def letters(kit: StageKit) -> list[DeadLetter]:
    """All dead letters."""
    return [DeadLetter.from_headers(record.headers) for record in kit.records(DEAD)]


async def redrive(
    kit: StageKit, wanted: Callable[[DeadLetter], bool] = lambda _: True, *, within: float = 5.0
) -> list[RedriveRecord]:  # fmt: skip
    """Try the dead letters again that nobody has tried yet."""
    found = []
    for record in kit.records(DEAD):
        letter = DeadLetter.from_headers(record.headers)
        dead = DeadRecord(
            record.partition, record.offset, record.timestamp, record.key, record.value, record.headers
        )  # fmt: skip
        redriven = redrive_of(dead)
        if wanted(letter) and isinstance(redriven, RedriveRecord):
            found.append(redriven)
    for stage, topic in REDRIVE.items():
        inputs = [Input(one.key, one.value, one.partition, headers=one.headers) for one in found if one.stage == stage]
        if inputs:
            await kit.feed(topic, inputs, within=within)
    return found
