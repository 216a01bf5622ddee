"""`cdc chaos`: faults from a seed against the engine on a Kafka of its own, and a verdict on what came out."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sandbox.chaos.plan import Plan
from sandbox.chaos.result import Result, collect, finished, table
from sandbox.chaos.scenarios import SCENARIOS, make_plan
from workers.cli.quiet import quiet
from workers.failures import ExitCode, NotFoundError

if TYPE_CHECKING:
    from sandbox.chaos.run import Report

DIRECTORY = ".chaos"
OUTPUT = click.option(
    "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Format of the results."
)


class _Seeds(click.ParamType):
    name = "A-B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """`3`, `1-5`, `1,4,8-10`."""
        found: list[int] = []
        try:
            for part in str(value).split(","):
                first, dash, last = part.partition("-")
                found += range(int(first), int(last if dash else first) + 1)
        except ValueError:
            found = []
        if not found:
            self.fail(f"{value!r} names no seeds; write 3, 1-5 or 1,4,8-10", param, ctx)
        return tuple(dict.fromkeys(found))


def _known(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in value if name not in SCENARIOS]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}; there are: {', '.join(SCENARIOS)}")
    return value or tuple(SCENARIOS)


def _say(line: str) -> None:
    click.echo(f"chaos: {line}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def chaos() -> None:
    """Try to break the engine: kill, freeze and cut off workers and Kafka while a workload runs, then check it all.

    Each run has its own Kafka, workers, sink and directory. A seed fixes workload and faults; what happens in between
    is up to the machine. PASS means that no invariant is broken AND every fault of the plan is proven to have happened;
    without that proof the verdict is UNKNOWN. What is checked: docs/chaos.md.

    \b
    Examples:
      cdc chaos list
      cdc chaos run table --seeds 1 --seconds 20
      cdc chaos run                                  every scenario, all its seeds, 60 s each
      cdc chaos replay .chaos/table-3/plan.json
      cdc chaos report .chaos
    """


@chaos.command()
@click.argument("scenarios", nargs=-1, callback=_known)
@click.option("--seeds", type=_Seeds(), help="Like 3, 1-5 or 1,4,8-10. Default: all seeds of each scenario.")
@click.option("--seconds", type=click.FloatRange(5, 86_400), default=60.0, show_default=True,
              help="Length of the chaos in each run; start, drain and checks take about 20 s more.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=DIRECTORY, show_default=True,
              help="Directory of the results, one below it for each run.")  # fmt: skip
@click.option("--resume/--no-resume", default=False, show_default=True,
              help="Leave out runs of the same length whose result is there.")  # fmt: skip
@OUTPUT
@click.pass_context
def run(
    ctx: click.Context, scenarios: tuple[str, ...], seeds: tuple[int, ...] | None, seconds: float, out: Path,
    resume: bool, output: str,
) -> None:  # fmt: skip
    """Run scenarios (all if none is named), one run after the other.

    Exit 0 only if every run is a PASS, 1 if one is a FAIL, 7 if some are UNKNOWN and none is a FAIL.

    \b
    Examples:
      cdc chaos run table --seeds 1 --seconds 20
      cdc chaos run window network --seeds 1-5 --out results --resume
    """
    plans = [
        make_plan(name, seed, seconds)
        for name in scenarios for seed in seeds or range(1, SCENARIOS[name].seeds + 1)
    ]  # fmt: skip
    results = []
    for number, plan in enumerate(plans, 1):
        directory = out / plan.name
        done = finished(directory) if resume else None
        if done is not None and done.ended and done.chaos_seconds >= seconds:
            _say(f"[{number}/{len(plans)}] {plan.name}: {done.verdict} (done before)")
        else:
            done = _execute(plan, directory, f"[{number}/{len(plans)}] ")
        results.append(done)
    _end(ctx, results, output)


@chaos.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Directory of the result. Default: `replay` beside the plan.")  # fmt: skip
@OUTPUT
@click.pass_context
def replay(ctx: click.Context, plan: Path, out: Path | None, output: str) -> None:
    """Run the plan of an earlier run again: same workload, same faults at the same times.

    \b
    Example:
      cdc chaos replay .chaos/table-3/plan.json
    """
    read = Plan.load(plan)
    _end(ctx, [_execute(read, out or plan.parent / "replay", "")], output)


@chaos.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=DIRECTORY)
@OUTPUT
@click.pass_context
def report(ctx: click.Context, directory: Path, output: str) -> None:
    """Show all results in a directory. The exit code is that of `run`.

    \b
    Example:
      cdc chaos report .chaos --output json | jq '.[] | select(.verdict != "PASS")'
    """
    results = collect(directory)
    if not results:
        raise NotFoundError(f"there are no results in {directory}", hint="`cdc chaos run` makes some")
    if output == "table":
        for result in results:
            if result.verdict != "PASS":
                click.echo("\n".join(result.story()) + "\n")
    _end(ctx, results, output)


@chaos.command(name="list")
@OUTPUT
def list_(output: str) -> None:
    """Show the scenarios.

    \b
    Example:
      cdc chaos list
    """
    if output == "json":
        click.echo(json.dumps([
            {"scenario": one.name, "seeds": one.seeds, "about": one.about} for one in SCENARIOS.values()
        ]))  # fmt: skip
        return
    width = max(map(len, SCENARIOS))
    for one in SCENARIOS.values():
        click.echo(f"{one.name:<{width}}  {one.seeds:>2} seeds  {one.about}")


def _execute(plan: Plan, directory: Path, prefix: str) -> Result:
    from sandbox.chaos.runs import run_of  # noqa: PLC0415  importing Faust takes a second; --help should not
    from workers.settings.worker import load_settings  # noqa: PLC0415

    say: Report = lambda line: _say(f"{prefix}{plan.name}: {line}")  # noqa: E731
    say(f"Kafka starts, plan in {directory / 'plan.json'}")
    with quiet():  # a client that loses its broker is the point here
        result = run_of(plan, directory, cache=load_settings().cache_dir, report=say).execute()
    say(f"{result.verdict} after {result.run_seconds:g} s")
    if result.verdict != "PASS":
        for line in result.story():
            _say(line)
    return result


def _end(ctx: click.Context, results: Iterable[Result], output: str) -> None:
    found = list(results)
    click.echo(json.dumps([asdict(result) for result in found]) if output == "json" else table(found))
    verdicts = {result.verdict for result in found}
    if "FAIL" in verdicts:
        ctx.exit(ExitCode.ERROR)
    if verdicts != {"PASS"}:
        ctx.exit(ExitCode.PARTIAL)
