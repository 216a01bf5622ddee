"""One round of checks: all of them at the same time, each with its own deadline."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from models.catalogue import Catalogue
from workers.aws.client import Reach, Session, reach_of
from workers.eventbridge.buses import Buses
from workers.failures import ConfigurationError
from workers.health.alarms import check_alarms
from workers.health.databases import check_postgres, check_rds, region_of_database
from workers.health.kafka import check_kafka
from workers.health.resources import check_bus, check_parameters, check_sink, check_stream
from workers.health.verdicts import Check, HealthReport, State, Verdict, failed, timed
from workers.settings.archive import region_of_queue, region_of_topic
from workers.settings.worker import Settings


@dataclass(frozen=True, slots=True)
class Examiner:
    """Makes one check of one thing."""

    check: Check
    subject: str
    look: Callable[[], Awaitable[Sequence[Verdict]]]


class Examination:
    """What there is to look at for these settings. Sessions are kept: making a client of AWS takes a tenth of a second.

    `now_ms` is since 1970, `monotonic` in seconds."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, *, now_ms: Callable[[], int], monotonic: Callable[[], float]
    ) -> None:
        self._seconds = settings.health_timeout
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._examiners = list(_examiners(settings, catalogue))

    @property
    def checks(self) -> frozenset[Check]:
        """Those that have something to look at."""
        return frozenset(examiner.check for examiner in self._examiners)

    async def round(self, only: Collection[str] = ()) -> HealthReport:
        """Look at everything, or at these checks. Never raises for the world; no answer in time is a verdict."""
        at, began = self._now_ms(), self._monotonic()
        chosen = [one for one in self._examiners if not only or one.check in only]
        found = await asyncio.gather(*(self._one(examiner) for examiner in chosen))
        return HealthReport(tuple(v for verdicts in found for v in verdicts), at, self._monotonic() - began)

    async def _one(self, examiner: Examiner) -> tuple[Verdict, ...]:
        began = self._monotonic()
        check, subject = examiner.check, examiner.subject
        found: Sequence[Verdict]
        try:
            async with asyncio.timeout(self._seconds):
                found = await examiner.look()
        except TimeoutError:
            action = "check the network and the address; CDC_HEALTH_TIMEOUT says how long to wait"
            found = [failed(check, subject, f"no answer in {self._seconds:g} s", action)]
        except Exception as error:  # noqa: BLE001  a check that breaks is a finding: it must not end a worker
            told = f"the check broke ({type(error).__name__})"
            found = [Verdict(check, subject, State.UNKNOWN, told, "this is a bug: report it")]
        return timed(found, self._monotonic() - began)


def _examiners(settings: Settings, catalogue: Catalogue) -> Iterator[Examiner]:
    session_of = functools.cache(functools.partial(Session, settings))
    here = session_of(Reach(settings.aws_region))
    kafka = functools.partial(check_kafka, settings, catalogue.lookups)
    yield Examiner("kafka", settings.kafka_bootstrap_servers, kafka)
    for spec in settings.sources:
        if spec.enabled:
            yield Examiner("kinesis", spec.name, functools.partial(check_stream, session_of(reach_of(spec)), spec))
    yield from _buses(settings, catalogue)
    if settings.health_alarms:
        names = settings.health_alarms
        yield Examiner("alarms", ", ".join(names), functools.partial(check_alarms, here, names))
    for name in settings.health_rds:
        session = session_of(Reach(region_of_database(name) or settings.aws_region))
        yield Examiner("rds", name, functools.partial(check_rds, session, name))
    if settings.has_database:
        yield Examiner("postgres", "DATABASE_URL", functools.partial(check_postgres, settings))
    if settings.ssm_names:
        look = functools.partial(check_parameters, here, settings.ssm_names)
        yield Examiner("ssm", ", ".join(settings.ssm_names), look)
    yield from _sinks(settings, session_of)


def _buses(settings: Settings, catalogue: Catalogue) -> Iterator[Examiner]:
    try:
        buses = Buses(settings, catalogue.specs)
    except ConfigurationError as error:
        told = failed("bus", settings.event_bus_name, str(error), error.hint)
        yield Examiner("bus", settings.event_bus_name, functools.partial(_told, told))
        return
    for name, access in buses.by_address.items():
        yield Examiner("bus", name, functools.partial(check_bus, access.session, name))


async def _told(verdict: Verdict) -> list[Verdict]:
    return [verdict]


def _sinks(settings: Settings, session_of: Callable[[Reach], Session]) -> Iterator[Examiner]:
    region = settings.aws_region
    if settings.archive_bucket is not None:
        asked = functools.partial(
            check_sink, session_of(Reach(region)), "DLQ_ARCHIVE_BUCKET", "s3", "head_bucket",
            Bucket=settings.archive_bucket,
        )  # fmt: skip
        yield Examiner("archive", "DLQ_ARCHIVE_BUCKET", asked)
    if (url := settings.dlq_queue_url) is not None:
        asked = functools.partial(
            check_sink, session_of(Reach(region_of_queue(url) or region)), "CDC_DLQ_QUEUE_URL", "sqs",
            "get_queue_attributes", QueueUrl=url, AttributeNames=["QueueArn"],
        )  # fmt: skip
        yield Examiner("archive", "CDC_DLQ_QUEUE_URL", asked)
    if (topic := settings.alert_topic_arn) is not None:
        asked = functools.partial(
            check_sink, session_of(Reach(region_of_topic(topic) or region)), "ALERT_TOPIC_ARN", "sns",
            "get_topic_attributes", TopicArn=topic,
        )  # fmt: skip
        yield Examiner("archive", "ALERT_TOPIC_ARN", asked)
