"""What the process asks of its C library and of the garbage collector."""

import gc
import platform

import pytest

from workers.engine.memory import OPERATORS, freeze_loaded, keep_memory


def test_glibc_takes_both_thresholds_and_another_library_is_left_alone() -> None:
    assert keep_memory({}) == (platform.libc_ver()[0] == "glibc")


@pytest.mark.parametrize("name", OPERATORS)
def test_what_an_operator_chose_stays(name: str) -> None:
    assert not keep_memory({name: "1"})


def test_what_is_loaded_before_the_start_is_nothing_for_the_garbage_collector() -> None:
    kept = ["some", ["module's", "state"]]
    try:
        freeze_loaded()
        assert gc.get_freeze_count() > 0
        assert not any(tracked is kept for tracked in gc.get_objects())
    finally:
        gc.unfreeze()
    assert any(tracked is kept for tracked in gc.get_objects())
