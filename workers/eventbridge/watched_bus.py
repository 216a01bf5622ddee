"""A bus with all that stands before it: it is looked for, and large events stand in S3 first."""

from collections.abc import Callable, Iterator

from models.catalogue import Catalogue
from workers import metrics
from workers.aws.client import Session
from workers.engine.app import StageApp
from workers.eventbridge.bus import IBus
from workers.eventbridge.bus_sight import CUSTOM, Rules, Sight, look_at_bus
from workers.eventbridge.claim_check import Bucket, ClaimCheckedBus
from workers.eventbridge.preflight import Preflight, PreflightedBus
from workers.eventbridge.unrouted import samples, unrouted
from workers.schemas.events import EventType, event_types
from workers.settings import Settings


def watched_bus(
    app: StageApp, bus: IBus, session: Session, settings: Settings, catalogue: Catalogue, now_ms: Callable[[], int]
) -> IBus:
    """The bus as the stage uses it; what keeps events from it stands among the blockers of the stage."""

    def reporter(name: str) -> Callable[[str | None], None]:
        def report(why: str | None) -> None:
            if why is None:
                app.blockers.pop(name, None)
            elif app.blockers.get(name) != why:
                app.blockers[name] = why
                app.log.error("%s", why)

        return report

    events = event_types(catalogue.specs)

    async def without_rule(sight: Sight) -> tuple[str, ...]:
        def sample(event: EventType) -> list[dict[str, object]]:
            return samples(event, settings.event_source, settings.environment, sight.arn)

        return await unrouted(events, Rules(session, bus.name), sample)

    preflight = Preflight(
        bus.name, lambda: look_at_bus(session, bus.name), None if CUSTOM in bus.name else without_rule,
        every=settings.preflight_interval, now_ms=now_ms, report=reporter(f"bus {bus.name}"),
    )  # fmt: skip
    checked = ClaimCheckedBus(bus, Bucket(session, settings.claim_check_kms_key), reporter("claim check"))

    def measure() -> Iterator[metrics.Sample]:
        yield from preflight.measure()
        for step, count in checked.fitted.items():
            yield metrics.FITTED.of(count, bus.name, step)

    app.before_boot.append(preflight.start)
    app.on_end.append(preflight.stop)
    app.measures.append(measure)
    app.reports["preflight"] = preflight.document
    return PreflightedBus(checked, preflight)
