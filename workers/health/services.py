"""What of health runs beside the stages of a worker."""

import functools
from collections.abc import Sequence
from typing import Any

import mode

from models.source_spec import SourceSpec
from workers.app import now_ms
from workers.aws.client import Reach, Session, reach_of
from workers.contract import read_catalogue
from workers.dead_letters.depth import KafkaCount, LetterDepth
from workers.engine.clock import monotonic
from workers.engine.stages import Stage
from workers.health.canary import CanarySender
from workers.health.cloudwatch import CloudWatchReporter
from workers.health.examination import Examination
from workers.health.figures import Tally
from workers.health.watch import HealthWatch
from workers.role import Role
from workers.settings.worker import Settings

HOME = "publish"
"""The stage whose slot 0 has the role."""


def health_services(stages: Sequence[Stage], settings: Settings) -> list[mode.Service]:
    """Those that the settings switch on. Checks and canaries need the stage `publish` in this process."""
    session_of = functools.cache(functools.partial(Session, settings))
    found: list[mode.Service] = []
    if settings.health_cloudwatch:
        found.append(_reporter(stages, settings, session_of(Reach(settings.aws_region))))
    home = next((stage for stage in stages if stage.name == HOME), None)
    if home is None:
        return found
    role = Role(home)
    sender = _sender(role, settings, session_of) if settings.canary else None
    if settings.health_interval or sender is not None:
        examination = Examination(settings, read_catalogue(settings), now_ms=now_ms, monotonic=monotonic)
        watch = HealthWatch(role, examination.round, now_ms, interval=settings.health_interval, canary=sender)
        found += [watch] if sender is None else [watch, sender]
    if settings.health_interval:
        found.append(LetterDepth(role, KafkaCount(settings)))
    return found


def _reporter(stages: Sequence[Stage], settings: Settings, session: Session) -> CloudWatchReporter:
    async def send(data: list[dict[str, Any]]) -> None:
        await session.cold("cloudwatch", "put_metric_data", Namespace=settings.health_namespace, MetricData=data)

    interval, timeout = settings.health_interval, settings.health_timeout
    return CloudWatchReporter(stages, send, Tally(settings.app), interval=interval, timeout=timeout)


def _sender(role: Role, settings: Settings, session_of: Any) -> CanarySender:
    async def put(spec: SourceSpec, key: str, data: bytes) -> None:
        named = {"StreamARN" if spec.stream.startswith("arn:") else "StreamName": spec.stream}
        await session_of(reach_of(spec)).cold("kinesis", "put_record", PartitionKey=key, Data=data, **named)

    return CanarySender(
        role, settings.sources, put, now_ms, partitions=settings.partitions, interval=settings.canary_interval,
        limit=settings.canary_limit, timeout=settings.health_timeout,
    )  # fmt: skip
