"""The sweep over the row memory beside everything else that the worker does."""

import asyncio
from unittest.mock import patch

from enrichers.state import RowMemory
from tests.contract.stages import KitStages
from workers.agents import forget
from workers.engine.app import StageApp
from workers.engine.testing import StageKit
from workers.engine.unit import Done, UnitOfWork

NOW_MS = 1_800_000_000_000
OLD_MS = NOW_MS - forget.MAX_AGE_MS - 1_000
ROWS = 10 * forget.KEYS_PER_UNIT


def memory(updated_ms: int) -> bytes:
    return RowMemory(updated_ms=updated_ms).encode()


def sweeping() -> StageApp:
    app = KitStages().app("sweep")
    owners = app.partitioned("owners", "row memory")
    forget.add_forgetting(app, owners, lambda: NOW_MS, every=60)

    @app.process("in", bury=lambda *_: None)
    async def ignore(unit: UnitOfWork) -> Done:
        return Done()

    return app


async def test_the_loop_goes_on_during_a_sweep_over_many_rows() -> None:
    looks = [0]
    """In each turn of the loop."""
    is_old = forget._is_old

    def counted(value: bytes | None, before_ms: int) -> bool:
        if not looks[-1]:
            asyncio.get_running_loop().call_soon(looks.append, 0)
        looks[-1] += 1
        return is_old(value, before_ms)

    async with StageKit(sweeping) as kit:
        old: dict[bytes, bytes | None] = {b"old%d" % n: memory(OLD_MS) for n in range(ROWS // 2)}
        fresh: dict[bytes, bytes | None] = {b"new%d" % n: memory(NOW_MS) for n in range(ROWS // 2)}
        await kit.put("owners", old | fresh)
        await kit.restart()
        assert len(kit.table("owners")) == ROWS
        with patch.object(forget, "_is_old", counted):
            await kit.advance(61)
        assert kit.table("owners") == fresh
        assert 0 < max(looks) <= 4 * forget.KEYS_PER_UNIT
