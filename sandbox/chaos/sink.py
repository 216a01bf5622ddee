"""The sink outside of Kafka that `deliver` sends to: slow, unreliable, sometimes down, and remembers what it took."""

import asyncio
import hashlib
import random
from collections import Counter

from aiohttp import web

from sandbox.chaos.history import History
from sandbox.chaos.plan import SinkFaults
from sandbox.ports import LOOPBACK

HANG_SECONDS = 30.0


def refused(seed: int, uid: int, share: float) -> bool:
    """Whether the sink refuses this event for good: a function of the seed, so every repeat is refused too."""
    digest = hashlib.blake2b(f"{seed}:{uid}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") < share * 2**32


class Sink:
    """`POST /` takes a list of `{"key", "value"}` and answers a list of `delivered | refused | retry`."""

    def __init__(self, seed: int, faults: SinkFaults, history: History) -> None:
        self.seed = seed
        self.faults = faults
        self.history = history
        self.down: str | None = None
        self.counts: Counter[str] = Counter()
        self.port = 0
        self._dice = random.Random(f"sink:{seed}")
        self._up = asyncio.Event()
        self._up.set()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://{LOOPBACK}:{self.port}/"

    async def start(self, port: int) -> None:
        """Listen."""
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/", self._post)
        self.port = port
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, port).start()

    async def close(self) -> None:
        """Stop listening."""
        self.heal()
        if self._runner is not None:
            await self._runner.cleanup()

    def fail(self, mode: str) -> None:
        """Go down: `refuse` answers 503, `hang` does not answer."""
        self.down = mode
        self._up.clear()

    def heal(self) -> None:
        """Come back; requests that hung are answered with 503."""
        self.down = None
        self._up.set()

    async def _post(self, request: web.Request) -> web.Response:
        events = await request.json()
        self.counts["requests"] += 1
        if self.down is not None:
            self.counts["down"] += 1
            if self.down == "hang":
                try:
                    await asyncio.wait_for(self._up.wait(), HANG_SECONDS)
                except TimeoutError:
                    self.counts["hung"] += 1
            return web.Response(status=503)
        faults, dice = self.faults, self._dice
        await asyncio.sleep(dice.uniform(*faults.delay))
        if dice.random() < faults.failures:
            self.counts["failed"] += 1
            return web.Response(status=500)
        outcomes = [self._take(event["key"], event["value"]) for event in events]
        if dice.random() < faults.lost_responses:
            self.counts["lost_responses"] += 1
            self.counts["lost_events"] += outcomes.count("delivered")
            if request.transport is not None:
                request.transport.abort()
        return web.json_response(outcomes)

    def _take(self, key: str, value: str) -> str:
        uid, version = (int(part) for part in value.split(":")[:2])
        if refused(self.seed, uid, self.faults.refused):
            self.history.add("sink", "refuse", "ok", key=key, uid=uid, version=version)
            return "refused"
        if self._dice.random() < self.faults.entry_failures:
            self.counts["entries_failed"] += 1
            return "retry"
        self.history.add("sink", "deliver", "ok", key=key, uid=uid, version=version)
        return "delivered"
