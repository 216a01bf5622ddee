"""What the process asks of its C library."""

import platform

import pytest

from workers.engine.memory import OPERATORS, keep_memory


def test_glibc_takes_both_thresholds_and_another_library_is_left_alone() -> None:
    assert keep_memory({}) == (platform.libc_ver()[0] == "glibc")


@pytest.mark.parametrize("name", OPERATORS)
def test_what_an_operator_chose_stays(name: str) -> None:
    assert not keep_memory({name: "1"})
