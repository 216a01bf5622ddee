"""Which kind of run a plan is."""

from pathlib import Path

from sandbox.chaos.bridge_run import BridgeRun
from sandbox.chaos.plan import Plan
from sandbox.chaos.run import Report, Run


def run_of(plan: Plan, directory: Path, *, cache: Path | None = None, report: Report = lambda _: None) -> Run:
    """The run of a plan, in its directory."""
    kind = BridgeRun if plan.workload.bridges else Run
    return kind(plan, directory, cache=cache, report=report)
