"""A TCP proxy in front of a Kafka that understands its frames: a fault can hit the third EndTxn and nothing else.

Words are those of Toxiproxy: upstream = to the broker, downstream = to the client. Plaintext only; TLS hides frames.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal, assert_never

from sandbox.kafka.faults import Action, Armed, Fault, Fired
from sandbox.kafka.frames import Request
from sandbox.kafka.proxy_link import Link, reset
from sandbox.ports import LOOPBACK

__all__ = ["Action", "Direction", "Fault", "Fired", "KafkaProxy", "Request"]

Direction = Literal["both", "upstream", "downstream"]


class KafkaProxy:
    """Stands between clients and one broker; `fired`, `counts` (requests per API) and `answers` (of the broker, per
    API) say what happened.

    >>> proxy = KafkaProxy("127.0.0.1", 9092)
    >>> await proxy.start(port)  # the port that the broker advertises for its listener
    >>> proxy.fault(Fault(api="EndTxn", nth=3, action="drop_response"))

    Belongs to the event loop that started it. From another thread: `loop.call_soon_threadsafe(proxy.cut)`.
    """

    def __init__(
        self,
        target_host: str,
        target_port: int,
        *,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.time,
        on_request: Callable[[Request], None] | None = None,
    ) -> None:
        """`on_request` sees every request as it comes in, before any fault."""
        self.target = (target_host, target_port)
        self.rng = rng or random.Random()
        self.clock = clock
        self.on_request = on_request
        self.fired: list[Fired] = []
        self.counts: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self._late: dict[asyncio.Event, str] = {}
        self._armed: list[Armed] = []
        self._links: dict[Link, asyncio.Task[None]] = {}
        self._opened = 0
        self._refusing = False
        self._latency: dict[str, tuple[float, float]] = {}
        self._passable = {"upstream": asyncio.Event(), "downstream": asyncio.Event()}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._server: asyncio.Server | None = None
        self.heal()

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        if self._server is None or not self._server.sockets:
            raise RuntimeError("the proxy does not run")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """Connections of clients that are open now."""
        return len(self._links)

    async def start(self, port: int = 0) -> None:
        """Listen on the loopback interface. Raises OSError if somebody else does."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, port)

    async def close(self) -> None:
        """Stop listening and reset every connection."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._links.values())
        self.heal()
        self.cut()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset all connections now; new ones are welcome."""
        for link in list(self._links):
            link.reset()

    def refuse(self, refusing: bool) -> None:
        """Reset new connections as soon as they come, or take them again."""
        self._refusing = refusing

    def blackhole(self, seconds: float | None = None, direction: Direction = "both") -> None:
        """Half-open for that long (None: until healed): connections stay, bytes wait, as behind a dead switch."""
        for way in _ways(direction):
            self._passable[way].clear()
            self._cancel_timer(way)
            if seconds is not None:
                self._timers[way] = asyncio.get_running_loop().call_later(seconds, self._passable[way].set)

    def latency(self, seconds: float, jitter: float = 0.0, direction: Direction = "downstream") -> None:
        """Every frame comes `seconds` later, give or take `jitter`."""
        for way in _ways(direction):
            self._latency[way] = (seconds, jitter)

    def fault(self, fault: Fault) -> None:
        """Arm a fault. Of several that hit one request the first wins; each has counted it."""
        self._armed.append(Armed(fault))

    def release(self, api: str | None = None) -> None:
        """Send what is delayed or late now; of one API or of all."""
        for event, waiting in self._late.items():
            if api in {None, waiting}:
                event.set()

    def heal(self) -> None:
        """Take everything away. Connections that a fault holds half-open are reset: they have lost bytes."""
        self._refusing = False
        self._latency.clear()
        self._armed.clear()
        self.release()
        for way, passable in self._passable.items():
            self._cancel_timer(way)
            passable.set()
        for link in list(self._links):
            if link.held:
                link.reset()

    def arrived(self, request: Request) -> Fault | None:
        """See Passing."""
        self.counts[request.api] += 1
        if self.on_request is not None:
            self.on_request(request)
        hits = [armed.fault for armed in self._armed if armed.hits(request)]
        self._armed = [armed for armed in self._armed if not armed.used_up]
        return hits[0] if hits else None

    def note(self, request: Request, fault: Fault) -> None:
        """See Passing."""
        self.fired.append(
            Fired(
                self.clock(), request.api, request.correlation_id, request.client_id, fault.action,
                request.connection, request.producer, fault.error_code,
            )
        )  # fmt: skip

    async def hold_back(self, request: Request, fault: Fault) -> None:
        """See Passing."""
        self.note(request, fault)
        event = asyncio.Event()
        self._late[event] = request.api
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), fault.seconds)
        finally:
            del self._late[event]

    async def pass_on(self, way: str) -> None:
        """See Passing."""
        seconds, jitter = self._latency.get(way, (0.0, 0.0))
        if seconds or jitter:
            await asyncio.sleep(max(0.0, seconds + self.rng.uniform(-jitter, jitter)))
        await self._passable[way].wait()

    def _cancel_timer(self, way: str) -> None:
        timer = self._timers.pop(way, None)
        if timer is not None:
            timer.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if self._refusing or task is None:
            reset(writer)
            return
        self._opened += 1
        link = Link(self, self._opened, reader, writer)
        self._links[link] = task
        try:
            await link.run()
        except asyncio.CancelledError:
            link.reset()  # only close() cancels
        finally:
            del self._links[link]


def _ways(direction: Direction) -> tuple[str, ...]:
    match direction:
        case "both":
            return ("upstream", "downstream")
        case "upstream" | "downstream":
            return (direction,)
        case _:
            assert_never(direction)
