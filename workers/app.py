"""The one place that wires topics, tables, clients and agents of each stage.

`faust -A workers.app:enrich worker` runs one stage as Faust users expect; `cdc worker` runs several in one process. The
attributes `bridge`, `enrich` and `publish` are made when they are asked for.
"""

import asyncio
import functools
import os
import socket
import sys
import time
from typing import Any, Protocol

from pydantic import SecretStr

from enrichers.routing import Router
from enrichers.state import FORMAT as TABLE_VALUES_FORMAT
from models.catalogue import Catalogue
from models.dead_letter import GAP_PREFIX
from models.event_address import mistakes_of
from models.source_spec import Adapter
from models.sources.reading import Reading
from workers.agents.archive import add_archive
from workers.agents.bridge import add_bridge
from workers.agents.drift import add_drift
from workers.agents.enrich import Enrich, add_enrich
from workers.agents.forget import add_forgetting
from workers.agents.publish import Publish, add_publish, gate_options, window_options
from workers.archive.notices import LetterNotices, alert_topic
from workers.archive.sinks import letter_sinks
from workers.aws.client import IRequester, Reach, Session, hot_client, reach_of
from workers.boot_checks import check_all, check_checkpoints, check_stream_account
from workers.contract import enrich_pipeline, key_checks, read_catalogue
from workers.database.connection import Postgres, require_client
from workers.database.measures import measure
from workers.database.queries import query_of
from workers.database.resolver import Resolver
from workers.engine.app import StageApp
from workers.engine.clock import monotonic
from workers.engine.delivery import WindowOptions
from workers.engine.errors import BootRefused
from workers.engine.gaps import Gap
from workers.engine.ledger import too_many
from workers.engine.options import EngineOptions
from workers.engine.unit import UnitOfWork
from workers.eventbridge.bus_watch import BusWatch
from workers.eventbridge.buses import Buses
from workers.eventbridge.entry import EntryRules
from workers.eventbridge.sink import EventBridgeSink
from workers.failures import CommandError, ConfigurationError
from workers.health.canary_arrivals import CanaryArrivals
from workers.kafka.connection import kafka_connection, refuse_wrong_credentials
from workers.kafka.topics import Topics, ensure_topics, group_of, tables_of
from workers.kinesis.budget import Budget
from workers.kinesis.directory import ShardDirectory
from workers.kinesis.forwarding import Destination
from workers.kinesis.reader import ReadOptions
from workers.kinesis.source import Bridge, Source
from workers.pauses.tables import table_of_event, table_of_raw
from workers.pauses.watch import PauseWatch
from workers.settings.secrets import database_dsn, load_parameters
from workers.settings.worker import Settings, load_settings
from workers.tracing.switch import hop_spans
from workers.web.tables import add_tables_view

DEFAULT_WEB_PORT = 6066
STAGES = ("bridge", "enrich", "publish")
ARCHIVE = "archive"
"""A stage only if `Settings.has_archive`."""


def _stage(settings: Settings, catalogue: Catalogue, stage: str, **options: Any) -> StageApp:
    kafka = kafka_connection(settings)
    engine = EngineOptions(
        bootstrap=kafka.bootstrap,
        security=kafka.security,
        request_timeout=kafka.request_timeout,
        compression=None if settings.kafka_compression == "none" else settings.kafka_compression,
        partitions=settings.partitions,
        worker_name=settings.worker_name,
        memory_budget=settings.memory_budget // len(STAGES),
        linger=settings.linger,
        on_gap=settings.on_gap,
        session_timeout=settings.session_timeout,
        retry=settings.retry_state,
        data_dir=str(settings.data_dir),
        config_topic=Topics.of(settings).config,
        dead_limit=settings.dead_limit,
        **options,
    )
    app = StageApp(group_of(settings, stage), engine, web_port=settings.web_port or DEFAULT_WEB_PORT)
    app.contract["prefix"] = settings.topic_prefix
    if stage not in ("publish", ARCHIVE):
        app.contract.update({f"key.{spec.name}": ",".join(spec.key) for spec in catalogue.specs})
    app.fingerprint = catalogue.fingerprint
    spans = hop_spans(settings, stage)
    app.tell_traced = spans.committed if spans is not None else None
    app.dead_window.uncounted.update(Topics.of(settings).redrive.values())
    app.record_gap = functools.partial(_record_gap, Topics.of(settings).dead, stage)
    add_tables_view(app)

    async def topics() -> None:
        try:
            await ensure_topics(settings, catalogue.lookups, engine.client(f"{app.conf.id}-topics"))
        except ConfigurationError as error:
            raise BootRefused(f"{error}; {error.hint}") from None

    app.before_boot.append(lambda: refuse_wrong_credentials(kafka))
    app.before_boot.append(topics)
    return app


def _record_gap(dead: str, stage: str, unit: UnitOfWork, gap: Gap) -> None:
    """What was lost stands beside the dead letters, without key and value."""
    where = {"stage": stage, "topic": gap.tp.topic, "partition": gap.tp.partition, "start": gap.start, "end": gap.end}
    unit.send(dead, None, None, [(f"{GAP_PREFIX}{name}", str(value).encode()) for name, value in where.items()])


def make_bridge(settings: Settings, tables: Catalogue | None = None) -> StageApp:
    """A new app for Kinesis -> raw. `tables`, here as in the others: None reads them."""
    catalogue = tables or read_catalogue(settings)
    app = _stage(settings, catalogue, "bridge", contiguous_slots=True, open_on_demand=True, fetch_wait_ms=500)
    topics = Topics.of(settings)
    routers: dict[tuple[Adapter | None, Reading], Router] = {}
    reaches: dict[Reach, tuple[Session, IRequester]] = {}
    sources, of_accounts = [], []
    for spec in (spec for spec in settings.sources if spec.enabled):
        reach = reach_of(spec)
        if reach not in reaches:
            session = Session(settings, reach)
            reaches[reach] = session, hot_client(session, "kinesis", "Kinesis_20131202")
            app.on_end.append(reaches[reach][1].close)
        session, client = reaches[reach]
        router = routers.setdefault((spec.adapter, spec.reading), Router(catalogue, spec.adapter, spec.reading))
        label = f"{spec.stream} ({spec.name})" if len(settings.sources) > 1 else spec.stream
        cold = functools.partial(session.cold, "kinesis")
        directory = ShardDirectory(cold, spec.stream, settings.source_slots, label)
        share = settings.trace_share if settings.traces != "off" else 0.0
        to = Destination(
            spec.name, topics.raw[spec.name], settings.partitions, topics.checkpoints, topics.dead, router, share
        )
        sources.append(Source(spec.name, client, directory, spec.start, to))
        of_accounts.append(functools.partial(check_stream_account, session, settings, spec))
    add_bridge(
        app,
        Bridge(
            sources=tuple(sources),
            reading=ReadOptions(
                settings.kinesis_batch_size,
                settings.kinesis_poll_interval,
                settings.kinesis_read_share,
                settings.retry_kinesis,
            ),
            topics=topics,
            slots=settings.source_slots,
            budget=Budget(settings.memory_budget // 8),
            on_gap=settings.on_gap,
            now_ms=now_ms,
            disabled=tuple(spec for spec in settings.sources if not spec.enabled),
        ),
    )
    app.before_boot.append(lambda: check_all(of_accounts))
    app.before_boot.append(lambda: check_checkpoints(settings, app.options.client(f"{app.conf.id}-boot")))
    return app


def make_enrich(settings: Settings, tables: Catalogue | None = None) -> StageApp:
    """A new app for raw -> events."""
    load_parameters(settings)
    catalogue = tables or read_catalogue(settings)
    if why := too_many(tables_of(catalogue.lookups)):
        raise ConfigurationError(why, hint="have fewer lookups, or shorter names of lookups; `cdc check` tells more")
    app = _stage(settings, catalogue, "enrich")
    app.table_values = TABLE_VALUES_FORMAT
    app.traces.add(Topics.of(settings).events)
    pipeline = enrich_pipeline(settings, catalogue)
    app.contract.update(key_checks(pipeline.options))
    fallback = _fallback(app, settings, catalogue) if settings.has_database else None
    enrich = Enrich(pipeline, Topics.of(settings), settings.partitions, catalogue.fingerprint, now_ms, fallback)
    state = add_enrich(app, enrich)
    app.brake.table_of = table_of_raw(catalogue)
    add_forgetting(app, state.owners, now_ms)
    add_drift(app, state.schemas, catalogue, settings.partitions)
    return app


def _fallback(app: StageApp, settings: Settings, catalogue: Catalogue) -> Resolver:
    """The database behind the lookups. Raises ConfigurationError without asyncpg, or for a URL that is none."""
    require_client()
    database_dsn(settings)

    async def dsn(again: bool) -> SecretStr:
        return await asyncio.to_thread(database_dsn, settings, again=again)

    def report(lookup: str, why: str | None) -> None:
        name = f"lookup {lookup}"
        if why is None:
            app.blockers.pop(name, None)
        elif app.blockers.get(name) != why:
            app.blockers[name] = why
            app.log.error("lookup %s: %s", lookup, why)

    resolver = Resolver(
        Postgres(dsn, settings.database_timeout), functools.partial(query_of, catalogue), now=monotonic,
        circuit=settings.circuit, retry=settings.retry_database,
        when_away=settings.database_away, lenient=settings.environment == "LOCAL", report=report,
    )  # fmt: skip
    app.measures.append(lambda: measure(resolver))
    app.reports["database"] = lambda: {"status": resolver.status, "rows_waiting": resolver.waiting}
    app.on_end.append(resolver.close)
    return resolver


def make_publish(settings: Settings, tables: Catalogue | None = None) -> StageApp:
    """A new app for events -> EventBridge."""
    catalogue = tables or read_catalogue(settings)
    if mistakes := [f"table {name}: {text}" for name, text in mistakes_of(settings.event_source, catalogue.specs)]:
        raise ConfigurationError("; ".join(mistakes), hint="`cdc check` tells all that is wrong")
    # Half a window: a larger batch would wait for the window to be empty.
    app = _stage(settings, catalogue, "publish", batch_records=max(1, settings.publish_window_records // 2))
    watch = BusWatch(app, settings, now_ms)
    buses = Buses(settings, catalogue.specs, watch.over)
    rules = EntryRules(settings.event_source, settings.put_events_max_bytes, settings.ladder)
    sink = EventBridgeSink(buses.default, rules, buses.of_table, spans=hop_spans(settings, "publish"))
    arrivals = CanaryArrivals(now_ms) if settings.canary else None
    publish = Publish(
        sink, Topics.of(settings), catalogue.fingerprint, now_ms, window_options(settings), gate_options(settings),
        delivered=arrivals.note if arrivals is not None else None,
        is_table=lambda name: catalogue.named(name) is not None,
    )  # fmt: skip
    if arrivals is not None:
        app.reports["canary"] = arrivals.report
    add_publish(app, publish)
    app.brake.table_of = table_of_event
    app.traces.add(Topics.of(settings).receipts)
    app.before_boot.append(lambda: check_all(buses.account_checks))
    app.on_end.append(buses.close)
    return app


def make_archive(settings: Settings, tables: Catalogue | None = None) -> StageApp:
    """A new app for dead letters -> S3, SQS, SNS. Raises ConfigurationError if none of them is set."""
    if not settings.has_archive:
        raise ConfigurationError(
            "the stage archive has nowhere to write to",
            hint="set DLQ_ARCHIVE_BUCKET, ALERT_TOPIC_ARN or CDC_DLQ_QUEUE_URL",
        )
    app = _stage(settings, tables or read_catalogue(settings), ARCHIVE, batch_records=WindowOptions().max_records // 2)
    session_of = functools.cache(functools.partial(Session, settings))
    topic = alert_topic(settings, session_of)
    notices = LetterNotices(topic, settings.archive_bucket, monotonic) if topic is not None else None
    add_archive(app, Topics.of(settings).dead, letter_sinks(settings, session_of), notices)
    return app


def stages_of(settings: Settings) -> tuple[str, ...]:
    """The stages that these settings have."""
    return (*STAGES, ARCHIVE) if settings.has_archive else STAGES


class Factory(Protocol):
    """Makes an app of one stage."""

    def __call__(self, settings: Settings, tables: Catalogue | None = None) -> StageApp:
        """Raises CommandError for settings, files and tables that do not fit."""


FACTORIES: dict[str, Factory] = {
    "bridge": make_bridge,
    "enrich": make_enrich,
    "publish": make_publish,
    ARCHIVE: make_archive,
}


def worker_name(settings: Settings) -> str:
    """What this process is called in alerts and in what it says of pauses."""
    return settings.worker_name or f"{socket.gethostname()}-{os.getpid()}"


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@functools.cache
def _app(stage: str) -> StageApp:
    settings = load_settings()
    return PauseWatch(settings, worker_name(settings), now_ms).govern(stage, FACTORIES[stage](settings))


def __getattr__(name: str) -> StageApp:
    if name in FACTORIES:
        try:
            return _app(name)
        except CommandError as error:  # `faust -A workers.app:enrich …` asks for it: no traceback for a missing setting
            sys.stderr.write(f"workers.app: {error}\n     {error.hint}\n")
            raise SystemExit(error.exit_code) from None
    raise AttributeError(f"module {__name__} has no attribute {name}")
