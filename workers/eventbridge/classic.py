"""PutEvents of a classic bus, in JSON.

Sources: EventBridge API reference, PutEvents; "Making applications Regional-fault tolerant with global endpoints".
"""

from collections.abc import Sequence

import msgspec

from workers.aws.client import IRequester
from workers.eventbridge.bus import Prepared
from workers.eventbridge.entry import Entry
from workers.eventbridge.remote import Answer, RemoteBus, Result


class _Entry(msgspec.Struct, rename="pascal", omit_defaults=True):
    event_bus_name: str
    source: str
    detail_type: str
    detail: str
    time: float
    trace_header: str | None = None


class ClassicBus(RemoteBus):
    """A bus by name or ARN. `endpoint_id`: of the global endpoint to go through."""

    max_entries = 10

    def __init__(self, client: IRequester, name: str, max_bytes: int, endpoint_id: str | None = None) -> None:
        super().__init__(client, name, max_bytes)
        head = {} if endpoint_id is None else {"EndpointId": endpoint_id}
        self._head = msgspec.json.encode({**head, "Entries": []}).removesuffix(b"]}")

    def prepare(self, entry: Entry) -> Prepared:
        """See IBus."""
        whole = msgspec.json.encode(
            _Entry(self.name, entry.source, entry.detail_type, entry.detail.decode(), entry.time, entry.trace_header)
        )
        return Prepared(entry, self.name, entry.size, (whole,))

    def request(self, prepared: Sequence[Prepared]) -> bytes:
        """See RemoteBus."""
        return self._head + b",".join([one.wire[0] for one in prepared]) + b"]}"

    def results(self, answer: bytes) -> list[Result]:
        """See RemoteBus."""
        return msgspec.json.decode(answer, type=Answer).entries
