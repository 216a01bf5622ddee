"""A world that somebody else runs, and workers in it, as the environment tells: what `cdc demo --here` works with."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.world import Part
from workers.failures import CommandError, UnreachableError
from workers.kafka.access import kafka_access
from workers.settings.worker import Settings
from workers.status import STAGES, StageStatus, look

PATIENCE = 120.0
"""Seconds for all of it to be there: containers start in any order."""
PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class RunningKafka:
    """Where Kafka is."""

    bootstrap: str


class RunningAws:
    """AWS, or its stand-in, as boto3 finds it."""

    def __init__(self, bus: str) -> None:
        self.bus = bus

    def client(self, service: str) -> Any:
        """A boto3 client."""
        return boto3.client(service)


class RunningWorld:
    """Kafka, stream and bus of the settings. Nothing is started, nothing but the demo's own queue and rule is made."""

    parts: Sequence[Part] = ()

    def __init__(self, settings: Settings, report: Callable[[str], None]) -> None:
        self.kafka = RunningKafka(settings.kafka_bootstrap_servers)
        self.aws = RunningAws(settings.event_bus_name)
        self._settings, self._report = settings, report

    def start(self) -> None:
        """Return when stream and bus are there. Raises UnreachableError."""
        stream = self._settings.kinesis_stream_name
        about = {"StreamARN" if stream.startswith("arn:") else "StreamName": stream}
        looks = {
            f"stream {stream}": lambda: self.aws.client("kinesis").describe_stream_summary(**about),
            f"bus {self.aws.bus}": lambda: self.aws.client("events").describe_event_bus(Name=self.aws.bus),
        }
        deadline = time.monotonic() + PATIENCE
        for name, call in looks.items():
            self._wait(name, call, deadline)

    def stop(self) -> None:
        """It goes on."""

    def environment(self) -> dict[str, str]:
        """What differs from the defaults, for whoever reads a world's environment."""
        return {"CDC_PARTITIONS": str(self._settings.partitions)}

    def _wait(self, name: str, call: Callable[[], object], deadline: float) -> None:
        said = False
        while True:
            try:
                call()
            except (ClientError, BotoCoreError) as error:
                if time.monotonic() > deadline:
                    raise UnreachableError(
                        f"{name} is not there ({type(error).__name__})",
                        hint="see AWS_ENDPOINT_URL, KINESIS_STREAM_NAME and EVENT_BUS_NAME",
                    ) from None
                if not said:
                    self._report(f"waiting for the {name}")
                    said = True
                time.sleep(PAUSE)
            else:
                return


class RunningWorkers:
    """The workers of the settings' consumer groups, whichever and however many: what they have counted in Kafka since
    `wait_until_ready`."""

    address = "http://127.0.0.1:6066/"
    """Where one of them is, if it runs on this machine."""
    alive = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="running-workers", daemon=True)
        self._before: dict[str, dict[str, int]] = {}
        self._stages: dict[str, Any] | None = None

    def start(self) -> None:
        """They run."""

    def wait_until_ready(self) -> None:
        """Return when every stage has a member and an offset. Raises UnreachableError."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                found = asyncio.run(self._look())
                missing = [stage.stage for stage in found if not stage.group.members or stage.group.state != "Stable"]
            except CommandError as error:
                missing = [str(error)]
            if not missing:
                self._before = {stage.stage: _counts(stage) for stage in found}
                self._thread.start()
                return
            if time.monotonic() > deadline:
                raise UnreachableError(
                    f"no worker runs: {', '.join(missing)}", hint="start `cdc worker` with the same settings"
                )
            time.sleep(PAUSE)

    def get(self, _page: str = "") -> dict[str, Any] | None:
        """Stages as the web view of one worker tells them, over all workers; None before the first look."""
        return {"stages": self._stages} if self._stages is not None else None

    def outside(self) -> Iterator[tuple[str, str]]:
        """Logs and views are elsewhere."""
        return iter(())

    def stop(self, _grace: float) -> None:
        """They go on."""
        self._stopping.set()

    def _follow(self) -> None:
        while not self._stopping.wait(PAUSE):
            try:
                found = asyncio.run(self._look())
            except CommandError:
                continue
            self._stages = {stage.stage: self._state(stage) for stage in found}

    async def _look(self) -> list[StageStatus]:
        async with kafka_access(self._settings) as kafka:
            return await look(self._settings, kafka, STAGES)

    def _state(self, stage: StageStatus) -> dict[str, Any]:
        before = self._before.get(stage.stage, {})
        counts = {name: number - before.get(name, 0) for name, number in _counts(stage).items()}
        return {"ready": bool(stage.group.members), "stats": {"inputs": counts.pop("inputs"), "outcomes": counts}}


def _counts(stage: StageStatus) -> dict[str, int]:
    """What a stage counted since its first boot: `inputs`, `out`, `dead`, `drop.<reason>`."""
    if stage.shards:
        records = sum(shard.told.records for shard in stage.shards)
        return {"inputs": records, "out": records}
    told = [row.counted for row in stage.partitions if row.counted is not None and not row.redriven]
    names = {name for counted in told for name in counted.counts}
    found = {name: sum(counted.counts.get(name, 0) for counted in told) for name in names}
    return found | {"inputs": sum(counted.inputs for counted in told)}
