"""How many bytes of records may be in memory: a full budget stops reading, it never drops or times out."""

import asyncio


class Budget:
    """Bytes that are read or about to be. One for the worker, and one for each slot inside of it, so that a slot that
    cannot commit leaves room for the others."""

    def __init__(self, limit: int, within: "Budget | None" = None) -> None:
        self.limit = limit
        self.used = 0
        self._within = within
        self._freed: asyncio.Event = within._freed if within is not None else asyncio.Event()

    async def reserve(self, size: int) -> None:
        """Wait until there is room for `size` bytes; more than the whole budget is let in alone."""
        while not self._fits(size):
            self._freed.clear()
            await self._freed.wait()
        self._add(size)

    async def correct(self, reserved: int, actual: int) -> None:
        """What was reserved turned out to be `actual` bytes. Does not wait for room: they are in memory already."""
        await self.release(reserved - actual)

    async def release(self, size: int) -> None:
        """`size` bytes are gone. Never suspends: whoever is cut off has given them back, and has told of it."""
        self._add(-size)
        self._freed.set()

    def _fits(self, size: int) -> bool:
        here = not self.used or self.used + size <= self.limit
        return here and (self._within is None or self._within._fits(size))

    def _add(self, size: int) -> None:
        self.used += size
        if self._within is not None:
            self._within._add(size)
