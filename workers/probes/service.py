"""Watches the stages from inside the event loop, and leaves what it sees where the probe's thread can read it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import mode

from workers.engine.progress import consumer_loop, in_hand, why_not_ready
from workers.engine.stages import Stage
from workers.probes.liveness import BLOCKED_SECONDS, Life
from workers.probes.server import ProbeServer, Told
from workers.web.metrics import exposition, registry_of

BEAT_SECONDS = 1.0
SCRAPE_SECONDS = 5.0


class Probes(mode.Service):
    """Serves as long as the worker lives. Raises ConfigurationError if the port cannot be had."""

    def __init__(self, stages: Sequence[Stage], bind: str, port: int, **kwargs: Any) -> None:
        self.stages = stages
        self.life = Life(time.monotonic())
        self.ready: Mapping[str, list[str]] = {stage.name: ["starts"] for stage in stages}
        """Why each stage is not ready; nothing for one that is."""
        self._metrics = registry_of(stages)
        self._running: asyncio.AbstractEventLoop | None = None
        self._thread_beats: dict[str, int] = {}
        answers = {"/livez": self._live, "/readyz": self._ready, "/metrics": self._scrape}
        self.server = ProbeServer(bind, port, answers)
        super().__init__(**kwargs)

    async def on_start(self) -> None:
        """Answer from the start: a worker that recovers lives, and is not ready."""
        self._running = asyncio.get_running_loop()
        self.look()
        self.server.serve_in_background()

    async def on_stop(self) -> None:
        """Close."""
        await asyncio.to_thread(self.server.shutdown)
        self.server.server_close()

    @mode.Service.task
    async def _beat(self) -> None:
        while not self.should_stop:
            self.look()
            await self.sleep(BEAT_SECONDS)

    def look(self) -> None:
        """One beat: what is in hand, and who is ready."""
        waiting: dict[str, int] = {}
        ready: dict[str, list[str]] = {}
        for stage in self.stages:
            app = stage.app
            ready[stage.name] = ["starts"] if app is None else why_not_ready(app)
            if app is not None:
                waiting |= {f"{stage.name}: {name}": number for name, number in in_hand(app).items()}
                waiting |= self._thread(stage.name, app)
        self.life = self.life.seen(waiting, time.monotonic())
        self.ready = ready

    def _thread(self, name: str, app: Any) -> dict[str, int]:
        """The stage's consumer has a thread and a loop of its own, which beats here whenever it runs."""
        loop = consumer_loop(app)
        if loop is None or loop.is_closed() or not loop.is_running():
            return {}

        def beat() -> None:
            self._thread_beats[name] = self._thread_beats.get(name, 0) + 1

        loop.call_soon_threadsafe(beat)
        return {f"{name}: its consumer thread": self._thread_beats.get(name, 0)}

    # in threads of the server

    def _live(self, _accept: str) -> Told:
        reasons = self.life.reasons(time.monotonic())
        return Told.document({"live": not reasons, "reasons": reasons}, well=not reasons)

    def _ready(self, _accept: str) -> Told:
        stages = {name: {"ready": not why, "reasons": why} for name, why in self.ready.items()}
        silent = time.monotonic() - self.life.beat
        blocked = silent > BLOCKED_SECONDS
        well = not blocked and not any(self.ready.values())
        document: dict[str, Any] = {"ready": well, "stages": stages}
        if blocked:
            document["reasons"] = [f"the event loop has not run for {silent:.0f} s"]
        return Told.document(document, well=well)

    def _scrape(self, accept: str) -> Told:
        """Collected in the event loop: the counters change there."""
        if self._running is None or not self._running.is_running():
            return Told(503, b"the worker starts\n", "text/plain; charset=utf-8")

        async def collect() -> tuple[bytes, str]:
            return exposition(self._metrics, accept)

        try:
            body, content_type = asyncio.run_coroutine_threadsafe(collect(), self._running).result(SCRAPE_SECONDS)
        except TimeoutError:
            return Told(503, b"the event loop does not answer\n", "text/plain; charset=utf-8")
        return Told(200, body, content_type)
