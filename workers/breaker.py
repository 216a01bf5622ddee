"""A circuit breaker: what does not answer is left alone, and tried again with care."""

from collections.abc import Callable

from models.infrastructure import CircuitBreakerConfig, CircuitState


class CircuitBreaker:
    """Says when the next attempt may be made; who makes it tells how it went. `now` is in seconds."""

    def __init__(self, config: CircuitBreakerConfig, now: Callable[[], float]) -> None:
        self.config = config
        self.opened = 0
        """Times it has opened."""
        self._now = now
        self._failures = 0
        self._successes = 0
        self._failed_at = 0.0
        self._state = CircuitState.CLOSED

    @property
    def state(self) -> CircuitState:
        """An open one whose time has come is half-open."""
        if self._state is CircuitState.OPEN and self._rest() <= 0:
            self._state, self._successes = CircuitState.HALF_OPEN, 0
        return self._state

    @property
    def answers(self) -> bool:
        """Not from the failure that opens it to the next success."""
        return self.state is CircuitState.CLOSED or (self.state is CircuitState.HALF_OPEN and self._successes > 0)

    @property
    def seconds_to_wait(self) -> float:
        """Until an attempt may be made; 0 if now."""
        return max(0.0, self._rest()) if self.state is CircuitState.OPEN else 0.0

    def succeeded(self) -> None:
        """An attempt went well."""
        self._failures = 0
        if self.state is CircuitState.HALF_OPEN:
            self._successes += 1
            if self._successes >= self.config.half_open_requests:
                self._state = CircuitState.CLOSED

    def failed(self) -> None:
        """An attempt did not."""
        self._failures += 1
        self._failed_at = self._now()
        if self.state is CircuitState.HALF_OPEN or self._failures >= self.config.failure_threshold:
            self.opened += self._state is not CircuitState.OPEN
            self._state = CircuitState.OPEN

    def _rest(self) -> float:
        return self._failed_at + self.config.recovery_seconds - self._now()
