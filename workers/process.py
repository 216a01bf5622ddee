"""One worker process: its stages, and everything that runs beside them. `workers/app.py` wires each stage itself."""

import functools
import socket
from collections.abc import Sequence

import mode

from workers.app import FACTORIES, now_ms, worker_name
from workers.archive.notices import alert_topic
from workers.archive.watch import Watch
from workers.aws.client import Session
from workers.cluster.directory import GroupDirectory, KafkaGroups, address_of
from workers.cluster.farewells import Farewells
from workers.contract import read_catalogue
from workers.engine.app import StageApp
from workers.engine.clock import monotonic
from workers.engine.stages import Stage, StageWorker
from workers.health.services import health_services
from workers.kafka.connection import kafka_connection
from workers.pauses.watch import PauseWatch
from workers.probes.service import Probes
from workers.probes.standing import StandingLog
from workers.settings.worker import Settings
from workers.web.loop_lag import LoopLag
from workers.web.server import WebServer, advertised_url
from workers.web.stage_state import stage_state


def make_process(settings: Settings, stages: Sequence[str], listening: socket.socket) -> StageWorker:
    """A process with these stages, whose web server answers on `listening`.

    Raises CommandError for whatever is wrong with settings, files and tables: it ends a command with its exit code,
    where a stage could only log it.
    """
    kafka_connection(settings)
    # Once: a stage that is made anew after a crash must not find another file than its neighbours did.
    tables = read_catalogue(settings)
    for stage in stages:
        FACTORIES[stage](settings, tables)
    name = worker_name(settings)
    pauses = PauseWatch(settings, name, now_ms)
    farewells = Farewells(name)

    def governed(stage: str) -> StageApp:
        return pauses.govern(stage, FACTORIES[stage](settings, tables))

    return StageWorker(
        {stage: functools.partial(governed, stage) for stage in stages},
        beside=functools.partial(_beside, settings, farewells, listening),
        leaving=farewells.say,
        address=address_of(advertised_url(settings, listening.getsockname()[1]), name),
    )


def _beside(
    settings: Settings, farewells: Farewells, listening: socket.socket, running: list[Stage]
) -> list[mode.Service]:
    lag, groups, name = LoopLag(), KafkaGroups(settings), farewells.name
    measures = [lag.measure, farewells.measure]
    services = [
        lag,
        WebServer(
            running, settings, name, listening.getsockname()[1], listening=listening,
            directory=GroupDirectory(groups), on_end=groups.close, measures=measures,
            farewells=farewells,
        ),
        StandingLog(running),
        *health_services(running, settings),
    ]  # fmt: skip
    if settings.health_port:
        services.append(Probes(running, settings.health_bind, settings.health_port, measures))
    topic = alert_topic(settings, functools.partial(Session, settings))
    if topic is not None:
        services.append(Watch(running, topic, stage_state, monotonic, sender=name))
    return services
