"""A stage: one Faust app, one consumer group, with batches, transactional tables and slots."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import faust
from aiokafka.errors import KafkaConnectionError, KafkaError
from faust.types import TP
from mode.utils.logging import CompositeLogger

from workers.engine.absence import absence_of
from workers.engine.agents import Agent
from workers.engine.batch import BatchTopic, RecordBatch
from workers.engine.boot import first_boot
from workers.engine.brake import Brake
from workers.engine.dead_window import DeadWindow
from workers.engine.delivery import Deliver, Emit, FunctionSink, Gate, OpenGate, Sink, WindowOptions
from workers.engine.errors import Fenced
from workers.engine.gaps import Gap, Gaps
from workers.engine.lag import Lags
from workers.engine.obstacles import Obstacles
from workers.engine.options import EngineOptions
from workers.engine.recovery import KeepingFlow, TableManager
from workers.engine.runner import Bury, Runner, describe
from workers.engine.slot import Slot
from workers.engine.slot_task import SlotTask, Work
from workers.engine.slots import Slots
from workers.engine.standstill import report_standstill
from workers.engine.tables import GlobalTable, Table
from workers.engine.transport import SCHEME, register
from workers.engine.unit import Body, UnitOfWork
from workers.engine.window import Window


def _plain(_severity: int, message: str, *_: Any, **__: Any) -> str:
    """The logger's name says which stage speaks; mode would add its service tree."""
    return message


class BootStrategy(faust.App.BootStrategy):
    """Faust's own producer has no work here: every write goes through a slot."""

    enable_kafka_producer = False
    enable_web = False
    """Nor has its web server, also under `faust worker --with-web`: pages are served behind the gate, or not at all."""


class StageApp(faust.App):
    """`faust.App` = one stage = one consumer group, named by `id`.

    Agents are registered through `process`, `deliver` or `slot_task`, never through Faust's `agent`: an exception in a
    bare agent acknowledges its event. A stopped app cannot be started again; factories make a new one.
    """

    BootStrategy = BootStrategy

    def __init__(self, id: str, options: EngineOptions, **kwargs: Any) -> None:  # noqa: A002  Faust's name
        register()
        self.options = options
        self.source_topics: set[str] = set()
        self.slot_bodies: list[Callable[[Slot], Any]] = []
        self.slots = Slots(self)
        self.gaps = Gaps(self)
        self.brake = Brake()
        self.lags = Lags(self)
        self.traces: set[str] = set()
        """Topics only this stage writes: a record in them proves that it has booted before."""
        self.contract: dict[str, str] = {}
        self.table_values = 1
        self.fingerprint = ""
        self.partition_counts: dict[str, int] = {}
        """Of sources and changelogs, as they were at the boot."""
        self.record_gap: Callable[[UnitOfWork, Gap], None] | None = None
        self.before_boot: list[Callable[[], Any]] = []
        self.on_end: list[Callable[[], Any]] = []
        self.dead_window = DeadWindow(options.dead_limit, self._stand_still)
        self.blockers = Obstacles()
        """What an operator has to decide: as long as there is anything, the stage is not ready."""
        self.outages = Obstacles()
        """What does not answer now: the stage is not ready, and nobody has to decide anything."""
        self.in_hand: list[Callable[[], Mapping[str, int]]] = []
        """More that has to move on, by name, as `workers/engine/progress.py` asks for it."""
        self.reports: dict[str, Callable[[], Any]] = {}
        """More for the web view, by name: plain data, no keys and no values."""
        self.views: dict[str, Callable[[], Any]] = {}
        """More for single views of the page, by name: plain data, no keys and no values. Made when somebody looks."""
        self.tell_traced: Callable[[list[Any], float, str], None] | None = None
        """Told the traced records of a unit that has committed, its seconds, and its slot; it never raises."""
        self.measures: list[Callable[[], Iterable[Any]]] = []
        """More for `/metrics`: samples of `workers.metrics`, made when somebody asks."""
        settings: dict[str, Any] = {
            "broker": [f"{SCHEME}://{server.strip()}" for server in options.bootstrap.split(",")],
            "Agent": Agent,
            "Topic": BatchTopic,
            "Table": Table,
            "GlobalTable": GlobalTable,
            "TableManager": TableManager,
            "topic_disable_leader": True,
            "topic_allow_declare": False,
            "table_standby_replicas": 0,
            "stream_wait_empty": True,
            "stream_buffer_maxsize": 16,
            "stream_recovery_delay": 0.0,
            # An idle member leaves the group after this and never comes back; liveness has its own watchdog.
            "broker_max_poll_interval": 2_000_000,
            "broker_session_timeout": options.session_timeout,
            "broker_heartbeat_interval": max(0.3, min(3.0, options.session_timeout / 5)),
            "broker_rebalance_timeout": 30,
            "broker_request_timeout": max(40, options.session_timeout + 5),
            "broker_commit_interval": 3_600.0,
            "consumer_auto_offset_reset": "none",
            # Kafka gives a larger record all the same. 16 MiB took 120 MB more memory for four partitions, at the same
            # CPU per record (measured).
            "consumer_max_fetch_size": 1 << 20,
            "reply_create_topic": False,
            "datadir": f"{options.data_dir}/{id}",
            # Loopback only, and neither of the two views that serve keys and values (P6).
            "web_bind": "127.0.0.1",
            "web_host": "127.0.0.1",
            "web_router_enabled": False,
            "web_tables_enabled": False,
            "web_stats_enabled": True,
        }
        if options.worker_name:
            settings["broker_client_id"] = options.worker_name
        super().__init__(id, **{**settings, **kwargs})
        self.log = CompositeLogger(logging.getLogger(f"cdc.{id}"), formatter=_plain)

    # the three forms of a stage

    def process(self, *topics: str, bury: Bury) -> Callable[[Body], Body]:
        """Exactly once: `async def body(unit) -> Done | Pause`. `bury` writes the dead letter of a record that cannot
        be written."""

        def register_body(body: Body) -> Body:
            runner = Runner(self, body, bury)
            self._agents(body.__name__, body.__doc__, topics, runner)
            return body

        return register_body

    def deliver(self, *topics: str, emit: Emit, options: WindowOptions | None = None) -> Callable[[Deliver], Deliver]:
        """At least once, in order per key: `async def sink(records) -> [Delivered | Undeliverable | Retry]`."""

        def register_function(function: Deliver) -> Deliver:
            name = getattr(function, "__name__", "deliver")
            self.deliver_to(
                FunctionSink(function), *topics, emit=emit, options=options, name=name, doc=function.__doc__
            )
            return function

        return register_function

    def deliver_to(
        self,
        sink: Sink,
        *topics: str,
        emit: Emit,
        options: WindowOptions | None = None,
        gate_of: Callable[[str], Gate] = lambda _channel: OpenGate(),
        name: str,
        doc: str | None,
    ) -> None:
        """The same for a sink that prepares its records. `gate_of` gives the gate of a channel; `name` and `doc` are
        those of the agent."""
        bounds = options or WindowOptions()
        self.slot_bodies.append(lambda slot: Window(slot, sink, emit, bounds, gate_of))

        async def feed(batch: RecordBatch) -> None:
            slot = self.slots.owned.get(batch.tp.partition)
            window = next((b for b in slot.bodies if isinstance(b, Window)), None) if slot else None
            if window is not None:
                await window.feed(batch)

        self._agents(name, doc, topics, feed)

    def slot_task(self, topic: str) -> Callable[[Work], Work]:
        """A source outside of Kafka: `async def work(slot, stopping)`, one for each slot of `topic`, which stays
        empty."""

        def register_work(work: Work) -> Work:
            self.slot_bodies.append(lambda slot: SlotTask(slot, work))

            async def ignore(batch: RecordBatch) -> None:
                """Nothing is read from the slots topic."""

            self._agents(work.__name__, work.__doc__, (topic,), ignore)
            return work

        return register_work

    def _agents(
        self, label: str, purpose: str | None, topics: tuple[str, ...], deliver: Callable[[RecordBatch], Any]
    ) -> None:
        for topic in topics:
            self.source_topics.add(topic)

            async def actor(stream: Any) -> None:
                async for batch in stream:
                    try:
                        await deliver(batch)
                    except Fenced as error:
                        await self._give_back(batch, error)
                    except Exception as error:  # noqa: BLE001  a bug of the engine: say it, let a rejoin repair it
                        self.log.error("%r: %s", batch, describe(error))
                        await self._give_back(batch, error)

            actor.__name__ = re.sub(r"\W", "_", f"{label}_{topic}")
            actor.__doc__ = (purpose or "").split("\n")[0]
            self.agent(self.topic(topic), name=f"{label}.{topic}", isolated_partitions=True)(actor)

    async def _give_back(self, batch: RecordBatch, error: Exception) -> None:
        slot = self.slots.owned.get(batch.tp.partition)
        if slot is None:
            return
        try:
            await self.slots.rejoin(slot, error)
        except Exception as problem:  # noqa: BLE001  an exception that leaves an actor ends the process in the end
            self.log.error("slot %s: rejoin: %s", slot.index, describe(problem))

    def _stand_still(self, why: str, tp: TP, end: int) -> None:
        self.blockers["dead letters"] = why
        self.log.critical("STOPPED at %s/%s: %s", tp.topic, tp.partition, why)
        self.slots.in_background(report_standstill(self, why, tp, end))

    # tables

    def partitioned(self, name: str, help: str) -> Table:  # noqa: A002  Faust's name
        """A table of the slots' own keys."""
        return self.Table(name, partitions=self.options.partitions, help=help)

    def everywhere(self, name: str, help: str) -> GlobalTable:  # noqa: A002  Faust's name
        """A table that every worker holds whole."""
        return self.GlobalTable(name, partitions=self.options.partitions, help=help)

    # life

    @cached_property
    def flow_control(self) -> KeepingFlow:
        """Flow control of streams and changelogs."""
        return KeepingFlow(loop=self.loop)

    @property
    def ready(self) -> bool:
        """Joined, recovered, every slot can work, and nothing is paused."""
        consumer = self._consumer
        return bool(
            consumer is not None
            and not self.rebalancing
            and self.slots.ready
            and not consumer.open_gaps
            and not self.blockers
            and not self.outages
            and not self.brake.holds_any(self.slots.owned)
        )

    async def at_rest(self) -> None:
        """Wait for everything that began before the brake was last set, and that it would stop now."""
        for slot in [slot for slot in self.slots.owned.values() if self.brake.touches(slot.index)]:
            async with slot.lock:  # a unit that had passed the brake holds it, or stands before us
                pass
            for body in slot.bodies:
                if isinstance(body, Window):
                    await body.at_rest()

    async def on_first_start(self) -> None:
        """Make topics and offsets exist before anybody joins; the broker may still be away."""
        self.conf.datadir.parent.mkdir(parents=True, exist_ok=True)
        await super().on_first_start()
        delay, absence = 0.5, absence_of(self.options.bootstrap)
        while not self.should_stop:
            try:
                for step in self.before_boot:
                    await step()
                await first_boot(self)
            except (KafkaError, OSError) as error:  # no reason to end the process
                why = error if isinstance(error, KafkaConnectionError) else type(error).__name__
                absence.tell(str(why))
                await self.sleep(delay)
                delay = min(delay * 2, 10)
            else:
                absence.over()
                return

    async def on_stop(self) -> None:
        """Stop the slots after everything that uses them; also if the end of that hangs and is cut off, or fails: the
        next app of the stage must be alone."""
        try:
            await super().on_stop()
        finally:
            await self.slots.stop()
            for end in self.on_end:
                try:
                    await end()
                except Exception as error:  # noqa: BLE001  the others end all the same
                    self.log.warning("stop: %s", describe(error))
