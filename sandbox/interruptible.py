"""Work in a thread beside the main one, which can be interrupted by a signal at any moment.

An exception that a signal handler raises between two steps of `threading` leaves its locks and its list of threads in
any state (CPython does not promise otherwise), so the main thread does nothing here but sleep and look at attributes.
"""

import threading
import time
from collections.abc import Callable

POLL_SECONDS = 0.02
BEGIN_SECONDS = 1.0


class Interruptible:
    """Does `work` once."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._begun = self._ended = self._given_up = False
        self._error: BaseException | None = None

    def run(self) -> None:
        """Raises what the work raises, or the main thread's handlers: then call `give_up`."""
        try:
            self._thread.start()
        except RuntimeError as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # it came while a lock was being taken
                raise KeyboardInterrupt from None
            raise
        while not self._ended:
            time.sleep(POLL_SECONDS)
        if self._error is not None:
            raise self._error

    def give_up(self, hurry: Callable[[], None]) -> None:
        """Return when nothing is being done any more. `hurry` is called again and again: it makes the work fail."""
        self._given_up = True
        deadline = time.monotonic() + BEGIN_SECONDS
        while not self._begun and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        while self._begun and not self._ended:
            hurry()
            time.sleep(POLL_SECONDS)

    def _run(self) -> None:
        self._begun = True
        try:
            if not self._given_up:
                self._work()
        except BaseException as error:  # noqa: BLE001  raised again by `run`
            self._error = error
        finally:
            self._ended = True
