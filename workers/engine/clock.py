"""The engine's clock: the one its timers run on."""

import asyncio


def monotonic() -> float:
    """Seconds of the running event loop. `time.monotonic()`, unless the loop's time is somebody's to set: a test kit
    lets hours of outage pass in milliseconds, and what is compared with a timer has to pass with it."""
    return asyncio.get_running_loop().time()
