"""Several stages in one process: each its own app and group, none of which can take the others down."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import mode

from workers.engine.app import StageApp
from workers.engine.clock import monotonic
from workers.engine.errors import BootRefused
from workers.engine.memory import freeze_loaded, keep_memory
from workers.engine.runner import describe

log = logging.getLogger("cdc.stages")

APP_STOP_SECONDS = 7.0
"""An app's part of the deadline; LeaveGroup waits for a broker that may be down."""
STOP_SECONDS = 10.0
"""After this the process ends whatever still waits. What was not committed is delivered again (P8)."""
FIRST_RESTART_PAUSE = 1.0
MAX_RESTART_PAUSE = 30.0
BOOT_REFUSED = 3
PARTIAL = 7
"""Ended in order, while something waited for an operator: a gap, a stopped shard."""

Factory = Callable[[], StageApp]


class Stage(mode.Service):
    """Runs one app; after a crash a new one from the factory."""

    def __init__(self, name: str, factory: Factory, worker: "StageWorker", **kwargs: Any) -> None:
        self.name = name
        self.factory = factory
        self.worker = worker
        self.app: StageApp | None = None
        self.restarts = 0
        self._ending: asyncio.Task[None] | None = None
        super().__init__(**kwargs)

    @property
    def label(self) -> str:
        """Name in mode's logs."""
        return f"stage {self.name}"

    @property
    def waiting(self) -> dict[str, str]:
        """What its app wants an operator for, by stage and name: gaps, and whatever else keeps it from being ready."""
        app = self.app
        if app is None:
            return {}
        gaps = app._consumer.open_gaps if app._consumer is not None else {}
        found = {f"{tp.topic}/{tp.partition}": why for tp, why in gaps.items()} | {**app.blockers}
        return {f"{self.name}: {name}": why for name, why in found.items()}

    @property
    def paused(self) -> dict[str, str]:
        """What an operator holds back of it, and why, by stage and part."""
        told = self.app.brake.told if self.app is not None else {}
        return {f"{self.name}, {part}": str(pause.get("why", "")) for part, pause in told.items()}

    @mode.Service.task
    async def _live(self) -> None:
        pause = FIRST_RESTART_PAUSE
        while not self.should_stop:
            # It stays out of the worker's tree of services: in it, a crash of any service of the app would walk up to
            # the worker and end the process, and with it the other stages.
            app = self.app = self.factory()
            self._ending, began = None, monotonic()
            app.conf.web_enabled = False  # one web server per process
            await self._run_until_end(app)
            if self.should_stop or self.worker.refused:
                return
            self.restarts += 1
            if monotonic() - began > MAX_RESTART_PAUSE:
                pause = FIRST_RESTART_PAUSE  # it had worked: crashes of long ago are no reason to wait for longer now
            reason = getattr(app, "crash_reason", None)
            log.error("stage %s crashed (%s): new app in %s s", self.name, describe(reason) if reason else "?", pause)
            await self.sleep(pause)
            pause = min(MAX_RESTART_PAUSE, pause * 2)

    async def _run_until_end(self, app: StageApp) -> None:
        if self.worker.address:
            app.conf.canonical_url = self.worker.address
        start = asyncio.ensure_future(app.start())
        ends = [asyncio.ensure_future(self._stopped.wait()), asyncio.ensure_future(app._crashed.wait())]
        try:
            await asyncio.wait([start, *ends], return_when=asyncio.FIRST_COMPLETED)
            if start.done() and not start.cancelled() and start.exception() is None:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            error = start.exception() if start.done() and not start.cancelled() else None
            if app._crashed.is_set():
                error = app.crash_reason or error  # refused at an assignment, long after the boot
            if isinstance(error, BootRefused):
                log.critical("stage %s: %s", self.name, error)
                self.worker.refuse()
        finally:
            for end in ends:
                end.cancel()
            if not start.done():
                start.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await start
            await self._end(app)

    async def _end(self, app: StageApp) -> None:
        """Stop the app, once; whoever else asks waits for the same end. A cancellation does not cut it off half-way:
        an app that has not left its group keeps its slots from everybody for a session time-out."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._stop(app))
        await asyncio.shield(self._ending)

    async def _stop(self, app: StageApp) -> None:
        try:
            await asyncio.wait_for(app.stop(), APP_STOP_SECONDS)
        except BaseException as error:  # noqa: BLE001  a stop that hangs or fails must not keep the process
            log.warning("stage %s: stop: %s", self.name, type(error).__name__)

    async def on_stop(self) -> None:
        """The loop above must see the end of its app before mode cancels it."""
        if self.app is not None:
            await self._end(self.app)


class StageWorker(mode.Worker):
    """The process: signals, logging, the stages and whatever runs beside them."""

    def __init__(
        self,
        factories: Mapping[str, Factory],
        *,
        beside: Callable[[list[Stage]], list[mode.Service]] = lambda _: [],
        address: str = "",
        leaving: Callable[[], Awaitable[None]] | None = None,
        **kwargs: Any,
    ) -> None:
        """`leaving`: what is done before the stages end, if they end in order; it has to know its own deadline."""
        self.leaving = leaving
        self.address = address
        """Where the other workers find this process; its stages tell their groups."""
        self.refused = False
        self.waiting: dict[str, str] = {}
        """What waited for an operator when the stages stopped, by stage and name."""
        self.paused: dict[str, str] = {}
        """What an operator held back when the stages stopped, by stage and part: known, hence no trouble."""
        self.stages = [Stage(name, factory, self) for name, factory in factories.items()]
        services = beside(self.stages)
        super().__init__(*services, *self.stages, override_logging=False, redirect_stdouts=False, **kwargs)

    def carp(self, msg: str) -> None:
        """mode would print it, in between log lines that may be JSON: names of signals."""
        log.info("%s", msg.partition(" ")[0].strip("-"))

    def refuse(self) -> None:
        """A stage may not boot: end the process with exit code 3."""
        self.refused = True
        self._schedule_shutdown(signal.SIGTERM)

    def note_waiting(self) -> None:
        """Remember what waits for an operator, before the stages end: whoever gives a slot up forgets what stood in its
        way."""
        for stage in self.stages:
            self.waiting |= stage.waiting
            self.paused |= stage.paused

    async def on_stop(self) -> None:
        """End all stages together: mode would do it one after the other, each up to its deadline."""
        self.note_waiting()
        watchdog = threading.Timer(STOP_SECONDS, leave, (self.exit_code,))
        watchdog.daemon = True
        watchdog.start()
        if self.leaving is not None and not self.refused and not self._crashed.is_set():
            await self.leaving()
        await asyncio.gather(*(stage.stop() for stage in self.stages))

    @property
    def exit_code(self) -> int:
        """What an orderly end returns."""
        if self.refused:
            return BOOT_REFUSED
        return PARTIAL if self.waiting else 0

    def run(self) -> int:
        """Run until a signal; returns the exit code."""
        keep_memory()
        freeze_loaded()
        try:
            self.execute_from_commandline()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
            return self.exit_code or code
        return self.exit_code


def leave(code: int) -> None:
    """End the process now: threads that wait for a frozen broker would keep it for ever."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
