"""What windows ask before they call a bus (P7): a throttle slows down, an outage opens the breaker."""

from collections.abc import Sequence

from models.infrastructure import CircuitBreakerConfig, CircuitState
from models.outcome import ErrorCategory
from workers.engine.delivery import Delivered, Outcome, Retry
from workers.eventbridge.gate import BusGate, GateOptions, Gates
from workers.eventbridge.pace import Quota

THROTTLED = Retry("ThrottlingException", category=ErrorCategory.THROTTLING, whole=True)
DOWN = Retry("HTTP503", whole=True)
DENIED = Retry("AccessDeniedException", 10.0, ErrorCategory.CONFIGURATION, whole=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def gate(clock: Clock, **options: object) -> BusGate:
    return Gates(GateOptions(**options), clock).of("bus")  # type: ignore[arg-type]


def never() -> None:
    raise AssertionError("nobody waits")


def call(bus: BusGate, clock: Clock, outcomes: Sequence[Outcome], seconds: float = 0.02) -> None:
    assert bus.wait(never) == 0.0
    bus.begin(len(outcomes))
    clock.now += seconds
    bus.end(outcomes, seconds)


def test_five_calls_without_an_answer_open_the_breaker_for_thirty_seconds() -> None:
    clock = Clock()
    bus = gate(clock)
    for _ in range(5):
        assert bus.down == ""
        call(bus, clock, [DOWN])
    assert bus.wait(never) == 30.0
    assert "does not answer" in bus.down
    clock.now += 30.0
    assert bus.breaker.state is CircuitState.HALF_OPEN


def test_one_trial_at_a_time_and_three_of_them_close_it() -> None:
    clock = Clock()
    bus = gate(clock, circuit=CircuitBreakerConfig(1, 30.0, 3))
    call(bus, clock, [DOWN])
    clock.now += 30.0
    for trial in range(3):
        assert bus.breaker.state is CircuitState.HALF_OPEN
        assert bool(bus.down) == (trial == 0)
        assert bus.wait(never) == 0.0
        bus.begin(1)
        assert bus.wait(lambda: None) is None
        bus.end([Delivered()], 0.01)
    assert (bus.down, bus.breaker.state) == ("", CircuitState.CLOSED)


def test_calls_that_were_on_their_way_together_count_as_one_failure() -> None:
    clock = Clock()
    bus = gate(clock)
    for _ in range(8):
        bus.begin(1)
    clock.now += 1.0
    for _ in range(8):
        bus.end([DOWN], 1.0)
    assert bus.breaker.state is CircuitState.CLOSED


def test_throttles_never_open_the_breaker() -> None:
    clock = Clock()
    bus = gate(clock, quota=Quota(requests=100.0))
    for _ in range(600):
        bus.begin(1)
        clock.now += 1.0
        bus.end([THROTTLED], 0.02)
    assert (bus.breaker.state, bus.down, bus.refused) == (CircuitState.CLOSED, "", "")
    assert bus.pace.requests.rate == 1.0
    assert bus.tally.throttles == 600


def test_one_event_that_always_fails_alone_does_not_open_the_breaker() -> None:
    clock = Clock()
    bus = gate(clock)
    for _ in range(50):
        call(bus, clock, [Retry("InternalFailure")])
    assert bus.breaker.state is CircuitState.CLOSED


def test_requests_in_which_every_event_fails_do() -> None:
    clock = Clock()
    bus = gate(clock)
    for _ in range(5):
        call(bus, clock, [Retry("InternalFailure")] * 10)
    assert bus.breaker.state is CircuitState.OPEN


def test_a_refused_bus_is_told_until_it_takes_something() -> None:
    clock = Clock()
    told: list[str] = []
    bus = Gates(GateOptions(), clock, report=lambda found: told.append(found.refused)).of("bus")
    call(bus, clock, [DENIED, DENIED])
    call(bus, clock, [THROTTLED])
    call(bus, clock, [Delivered()])
    assert told == ["AccessDeniedException", "AccessDeniedException", ""]
    assert bus.breaker.state is CircuitState.CLOSED


def test_windows_wait_in_line_for_a_place_and_one_that_has_nothing_to_send_gives_it_on() -> None:
    clock = Clock()
    bus = gate(clock, in_flight=1)
    bus.begin(1)
    woken: list[str] = []

    def stopped() -> None:
        woken.append("stopped")

    def waiting() -> None:
        woken.append("waiting")
        bus.begin(1)

    for wake in (stopped, waiting, stopped, never):
        assert bus.wait(wake) is None
    bus.end([Delivered()], 0.01)
    assert woken == ["stopped", "waiting"]
    assert bus.calls == 1


def test_a_call_that_was_cut_off_tells_nothing() -> None:
    clock = Clock()
    bus = gate(clock)
    bus.begin(3)
    bus.end((), 5.0)
    assert (bus.calls, bus.tally.entries.total(), bus.breaker.state) == (0, 0, CircuitState.CLOSED)


def test_every_bus_has_a_gate_of_its_own() -> None:
    clock = Clock()
    gates = Gates(GateOptions(circuit=CircuitBreakerConfig(1)), clock)
    call(gates.of("a"), clock, [DOWN])
    assert gates.of("a").wait(never) == 30.0
    assert gates.of("b").wait(never) == 0.0


def test_what_happened_is_counted_by_bus() -> None:
    clock = Clock()
    bus = gate(clock)
    call(bus, clock, [Delivered(), Retry("InternalFailure"), Delivered()], seconds=0.03)
    bus.reordered(1)
    assert bus.tally.entries == {"delivered": 2, "again": 1}
    assert dict(bus.tally.errors) == {"InternalFailure": 1}
    assert (sum(bus.tally.seconds.counts), bus.tally.reordered) == (1, 1)
