"""Every bus that the settings and the tables name: one session per region, one client per generation of it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from models.event_bus import EventBus, event_bus
from models.tables import TableSpec
from workers.aws.client import IRequester, Reach, Session, custom_bus_client, global_endpoint_client, hot_client
from workers.boot_checks import check_bus_account
from workers.eventbridge.bus import IBus
from workers.eventbridge.classic import ClassicBus
from workers.eventbridge.v2 import CustomBus
from workers.settings.worker import Settings

Place = tuple[str, str, str]
"""Name, region and account of a bus; the account is empty where nobody knows whose a name is."""


@dataclass(frozen=True, slots=True)
class Access:
    """A bus, where it is, the session that reaches it, and the tables whose events go there."""

    bus: IBus
    address: EventBus
    session: Session
    specs: list[TableSpec]


class Buses:
    """`by_address` has each bus once, by what settings or tables first call it; that of EVENT_BUS_NAME comes first. A
    name and an ARN are known to be one bus if AWS_ACCOUNT_ID, or the role that sends, says whose the name is. Raises
    ConfigurationError if a global endpoint is configured and its extra is not installed. `over`: what stands before a
    bus, made of the bus, the session that reaches it, and the tables whose events go there."""

    def __init__(
        self, settings: Settings, tables: Iterable[TableSpec],
        over: Callable[[IBus, Session, list[TableSpec]], IBus] = lambda bus, _session, _specs: bus,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._over = over
        self._tables = list(tables)
        self._sessions: dict[str, Session] = {}
        self._clients: dict[tuple[str, str | None], IRequester] = {}
        self._of_endpoint: list[IRequester] = []
        self.by_address: dict[str, Access] = {}
        self._first: dict[Place, str] = {}
        """What a bus is first called."""
        self._open(settings.event_bus_name, settings.event_bus_endpoint_id)
        self.of_table: Mapping[str, IBus] = {
            spec.name: self._open(spec.bus).bus for spec in self._tables if spec.bus is not None
        }

    @property
    def default(self) -> IBus:
        """That of EVENT_BUS_NAME, for all tables without one."""
        return self.by_address[self._settings.event_bus_name].bus

    @property
    def account_checks(self) -> list[Callable[[], Awaitable[None]]]:
        """What refuses to boot if a bus belongs to another account than AWS_ACCOUNT_ID. A role says whose it is."""
        if self._settings.event_bus_role is not None:
            return []
        return [
            partial(check_bus_account, access.session, self._settings, access.address)
            for access in self.by_address.values()
        ]

    async def close(self) -> None:
        """Close connections."""
        for client in (*self._clients.values(), *self._of_endpoint):
            await client.close()

    def _open(self, text: str, endpoint_id: str | None = None) -> Access:
        place = self._place(text)
        first = self._first.setdefault(place, text)
        if first not in self.by_address:
            address = event_bus(first)
            session = self._session(address.region or self._settings.aws_region)
            default = self._settings.event_bus_name
            specs = [spec for spec in self._tables if self._place(spec.bus or default) == place]
            bus = self._over(self._bus(address, session, endpoint_id), session, specs)
            self.by_address[first] = Access(bus, address, session, specs)
        return self.by_address[first]

    def _place(self, text: str) -> Place:
        address, settings = event_bus(text), self._settings
        if address.custom:  # its ARN is its only address; the name does not tell it from one made anew
            return text, "", ""
        role = settings.event_bus_role
        own = role.split(":")[4] if role is not None else settings.aws_account_id
        return address.name, address.region or settings.aws_region, address.account or own or ""

    def _bus(self, address: EventBus, session: Session, endpoint_id: str | None) -> IBus:
        most = self._settings.put_events_max_bytes
        if endpoint_id is not None:
            self._of_endpoint.append(global_endpoint_client(session))
            return ClassicBus(self._of_endpoint[-1], address.text, most, endpoint_id)
        client = self._client(session, address)
        return CustomBus(client, address.text, most) if address.custom else ClassicBus(client, address.text, most)

    def _session(self, region: str) -> Session:
        if region not in self._sessions:
            reach = Reach(region, role=self._settings.event_bus_role, external_id=self._settings.event_bus_external_id)
            self._sessions[region] = Session(self._settings, reach)
        return self._sessions[region]

    def _client(self, session: Session, address: EventBus) -> IRequester:
        account = address.account if address.custom else None
        key = session.region, account
        if key not in self._clients:
            made = (
                hot_client(session, "events", "AWSEvents") if account is None else custom_bus_client(session, account)
            )
            self._clients[key] = made
        return self._clients[key]
