"""Work beside the main thread ends before anything is cleared behind it."""

import threading
import time

import pytest

from sandbox import interruptible
from sandbox.interruptible import Interruptible


def test_what_the_work_raises_is_raised() -> None:
    def work() -> None:
        raise ValueError("no port is free")

    with pytest.raises(ValueError, match="no port"):
        Interruptible(work).run()


def test_who_gives_up_hurries_the_work_and_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried, done = threading.Event(), []

    def work() -> None:
        hurried.wait()
        done.append("cleared up")

    def interrupt(_seconds: float) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    beginning = Interruptible(work)
    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        beginning.run()
    assert not done
    beginning.give_up(hurried.set)
    assert done == ["cleared up"]


def test_work_that_begins_after_it_was_given_up_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruptible, "BEGIN_SECONDS", 0.0)
    done: list[str] = []
    late = Interruptible(lambda: done.append("started"))
    late.give_up(lambda: None)
    late.run()
    assert not done


def test_an_interrupt_that_breaks_a_lock_is_still_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_thread: threading.Thread) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("release unlocked lock")

    monkeypatch.setattr(threading.Thread, "start", broken)
    with pytest.raises(KeyboardInterrupt):
        Interruptible(lambda: None).run()
