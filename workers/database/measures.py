"""The database behind the lookups in numbers: names of lookups and outcomes, never a key or an id (P6)."""

from collections.abc import Iterator

from workers import metrics
from workers.database.resolver import Resolver


def measure(resolver: Resolver) -> Iterator[metrics.Sample]:
    """Samples for a scrape."""
    for names, number in resolver.tally.queries.items():
        yield metrics.DATABASE_QUERIES.of(number, *names)
    for names, number in resolver.tally.rows.items():
        yield metrics.DATABASE_ROWS.of(number, *names)
    for names, number in resolver.tally.cached.items():
        yield metrics.DATABASE_CACHED.of(number, *names)
    for lookup, spread in resolver.tally.seconds():
        yield metrics.DATABASE_SECONDS.of(spread, lookup)
    breaker = resolver.breaker
    yield metrics.DATABASE_UP.of(1 if breaker.answers else 0)
    yield metrics.DATABASE_CIRCUIT_OPENED.of(breaker.opened)
    yield metrics.DATABASE_WAITING.of(resolver.waiting)
