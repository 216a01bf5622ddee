"""Which kind of run a plan is."""

from pathlib import Path

from sandbox.chaos.bridge_run import BridgeRun
from sandbox.chaos.plan import Plan
from sandbox.chaos.publish_run import PublishRun
from sandbox.chaos.run import Report, Run


def run_of(plan: Plan, directory: Path, *, cache: Path | None = None, report: Report = lambda _: None) -> Run:
    """The run of a plan, in its directory."""
    workload = plan.workload
    kind = BridgeRun if workload.bridges else PublishRun if workload.publishes else Run
    return kind(plan, directory, cache=cache, report=report)
