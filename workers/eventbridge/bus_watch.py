"""What stands before every bus: it is looked for, and large events stand in S3 first."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from models.canary import is_canary
from models.tables import TableSpec
from workers import metrics
from workers.aws.client import Session
from workers.engine.app import StageApp
from workers.eventbridge.bus import IBus
from workers.eventbridge.bus_sight import CUSTOM, Rules, Sight, look_at_bus
from workers.eventbridge.claim_check import Bucket, ClaimCheckedBus, trouble_of
from workers.eventbridge.preflight import Preflight, PreflightedBus
from workers.eventbridge.unrouted import samples, unrouted
from workers.schemas.events import EventType, event_types
from workers.settings.worker import Settings


class BusWatch:
    """Over all buses of a stage. What keeps events from one stands among the stage's blockers."""

    def __init__(self, app: StageApp, settings: Settings, now_ms: Callable[[], int]) -> None:
        self._app = app
        self._settings = settings
        self._now_ms = now_ms
        self._objects = Bucket(Session(settings), settings.claim_check_kms_key)
        self._preflights: list[Preflight] = []
        self._checked: list[ClaimCheckedBus] = []
        app.measures.append(self._measure)
        app.reports["preflight"] = lambda: [preflight.document() for preflight in self._preflights]

    def over(self, bus: IBus, session: Session, specs: Iterable[TableSpec]) -> IBus:
        """The bus as the stage uses it. `session` reaches it, `specs` are the tables whose events go there."""
        events = event_types(spec for spec in specs if not is_canary(spec))  # nobody has to want it

        def sample(event: EventType, arn: str) -> list[dict[str, Any]]:
            return samples(event, self._settings.event_source, self._settings.environment, arn)

        async def without_rule(sight: Sight) -> tuple[str, ...]:
            return await unrouted(events, Rules(session, bus.name), lambda event: sample(event, sight.arn))

        preflight = Preflight(
            bus.name, lambda: look_at_bus(session, bus.name), None if CUSTOM in bus.name else without_rule,
            every=self._settings.preflight_interval, now_ms=self._now_ms,
            report=self._reporter(f"preflight of bus {bus.name}"), unseen=self._unseen(f"preflight of bus {bus.name}"),
        )  # fmt: skip
        checked = ClaimCheckedBus(
            bus, self._objects, self._reporter(trouble_of(bus.name)),
            patience=self._settings.put_events_timeout / 2,
        )  # fmt: skip
        self._preflights.append(preflight)
        self._checked.append(checked)
        self._app.before_boot.append(preflight.start)
        self._app.on_end.append(preflight.stop)
        return PreflightedBus(checked, preflight)

    def _reporter(self, name: str) -> Callable[[str | None], None]:
        blockers = self._app.blockers

        def report(why: str | None) -> None:
            if why is None:
                blockers.pop(name, None)
            elif blockers.get(name) != why:
                blockers[name] = why
                self._app.log.error("%s", why)

        return report

    def _unseen(self, name: str) -> Callable[[str], None]:
        outages = self._app.outages

        def unseen(why: str) -> None:
            if not why:
                outages.pop(name, None)
            elif outages.get(name) != why:
                outages[name] = why
                self._app.log.warning("%s", why)

        return unseen

    def _measure(self) -> Iterator[metrics.Sample]:
        for preflight in self._preflights:
            yield from preflight.measure()
        for bus in self._checked:
            for step, count in bus.fitted.items():
                yield metrics.FITTED.of(count, bus.name, step)
