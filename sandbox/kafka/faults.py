"""What can be made to happen to a request on its way through the proxy, and what did."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from sandbox.kafka.frames import APIS, PATCHED, REFUSED, Request

Action = Literal["drop_response", "drop_request", "disconnect", "delay", "delay_response", "late_request", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to the `nth` request for `api` from now on (1 = the next), and to `times` - 1 more after it.

    Raises ValueError for what cannot be done."""

    api: str
    """Name in Kafka's protocol, such as EndTxn."""
    action: Action
    """drop_response: the broker does it, the client never hears. drop_request: the broker never hears. disconnect:
    reset before the request is sent. delay, delay_response: request or answer come `seconds` later or at
    `KafkaProxy.release()`, and what follows on that connection with it. late_request: the same for a client that is
    disconnected at once and may repeat it. error: the answer says `error_code`."""
    nth: int = 1
    times: int | None = 1
    """None: until it is taken away."""
    client_id: str | None = None
    """Only requests of these clients; `*` stands for any characters."""
    seconds: float = 0.0
    error_code: int = 0
    reaches_broker: bool = True
    """error: True patches the broker's answer to what it did; False answers in its place."""
    then: Literal["cut", "hold"] = "cut"
    """After drop_*: reset the connection, or hold it half-open: nothing passes any more until the client leaves."""

    def __post_init__(self) -> None:
        if self.api not in APIS.values():
            raise ValueError(f"no API is called {self.api}")
        if self.nth < 1 or (self.times is not None and self.times < 1):
            raise ValueError("nth and times count from 1")
        if self.action == "error":
            if not self.error_code:
                raise ValueError("error 0 is no error")
            if self.api not in (PATCHED if self.reaches_broker else REFUSED):
                raise ValueError(f"the layout of {self.api} is not known")


@dataclass(frozen=True, slots=True)
class Fired:
    """A fault that really hit a request or its answer."""

    time: float
    api: str
    correlation_id: int
    client_id: str
    action: Action
    connection: int
    """Number of the client's connection, in the order they were opened."""
    producer: tuple[int, int] | None
    """(producer id, epoch), where the request names one."""
    error_code: int


@dataclass(slots=True)
class Armed:
    """A fault that waits for its request."""

    fault: Fault
    seen: int = 0

    def hits(self, request: Request) -> bool:
        """Whether this is the request; every matching one is counted."""
        fault = self.fault
        if request.api != fault.api or not fnmatchcase(request.client_id, fault.client_id or "*"):
            return False
        if fault.action == "error" and request.version != PATCHED[fault.api]:
            return False  # it does not fire, and `fired` shows that
        self.seen += 1
        return self.seen >= fault.nth

    @property
    def used_up(self) -> bool:
        """It has hit as often as it should."""
        fault = self.fault
        return fault.times is not None and self.seen >= fault.nth - 1 + fault.times
