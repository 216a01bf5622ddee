"""P1-P4, P7, P8: a short part of `make chaos`, the same code with less time. PASS proves that every fault fired."""

from pathlib import Path

import pytest

from sandbox.chaos.runs import run_of
from sandbox.chaos.scenarios import make_plan

SECONDS = 10.0


@pytest.mark.parametrize(
    "scenario", ["mixed-stages", "broker-restart", "network", "truncation", "bridge-reshard", "publish"]
)
def test_no_fault_breaks_an_invariant(scenario: str, tmp_path: Path) -> None:
    result = run_of(make_plan(scenario, 1, SECONDS), tmp_path / scenario).execute()
    assert result.verdict == "PASS", "\n".join(result.story())
