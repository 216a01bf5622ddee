"""What the process asks of its C library."""

import platform

import pytest

from workers.engine.memory import OPERATORS, keep_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_glibc_takes_both_thresholds() -> None:
    assert keep_memory({})


@pytest.mark.parametrize("name", OPERATORS)
def test_what_an_operator_chose_stays(name: str) -> None:
    assert not keep_memory({name: "1"})
