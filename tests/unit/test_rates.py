"""What happened in the last minute."""

import asyncio

import pytest

from workers.engine.rates import Rates
from workers.engine.virtual_time import VirtualTime


async def test_rates_are_of_the_last_seconds_and_older_counts_are_forgotten() -> None:
    clock, rates = VirtualTime(), Rates()
    clock.install()
    try:
        for _ in range(100):
            rates.note({"in": 10, "dead": 1})
            await asyncio.sleep(1)
        assert rates.per_second("in", 10) == pytest.approx(10, rel=0.15)
        assert rates.of("dead", 60) == pytest.approx(60, abs=1)
        await asyncio.sleep(30)
        assert rates.of("in", 10) == 0
        assert rates.of("dead", 60) == pytest.approx(30, abs=1)
    finally:
        clock.uninstall()


async def test_a_stage_that_has_just_begun_is_not_slow() -> None:
    clock, rates = VirtualTime(), Rates()
    clock.install()
    try:
        assert rates.per_second("in", 10) == 0
        rates.note({"in": 50})
        await asyncio.sleep(2)
        rates.note({"in": 50})
        assert rates.per_second("in", 10) == pytest.approx(50)
    finally:
        clock.uninstall()
