"""Dashboards and alerts ask for metrics that exist, with labels they have; every alert has a command and a page."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from workers import metrics
from workers.cli.main import cdc
from workers.dashboards.__main__ import text_of
from workers.dashboards.boards import BOARDS
from workers.dashboards.panel import COLUMNS, Board

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs/runbooks"
DASHBOARDS = ROOT / "deploy/grafana/dashboards"
(GROUP,) = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text(encoding="utf-8"))["groups"]
RULES: list[dict[str, Any]] = GROUP["rules"]
TARGET = {"instance", "job"}
"""What Prometheus adds to everything it scrapes."""
OF_PROCESS = {
    "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds",
}  # fmt: skip


def known() -> dict[str, set[str]]:
    """Labels by name as Prometheus stores it."""
    found: dict[str, set[str]] = {name: set() for name in OF_PROCESS}
    for metric in metrics.METRICS:
        if metric.kind == "histogram":
            found[f"{metric.shown}_bucket"] = {*metric.labels, "le"}
            found |= {f"{metric.shown}_{end}": set(metric.labels) for end in ("sum", "count")}
        else:
            found[metric.shown] = set(metric.labels)
    return found


def mistakes(expression: str) -> list[str]:
    """What a query asks for and nobody has."""
    labels_of, found, union = known(), [], set(TARGET)
    for name, matchers in re.findall(r"\b((?:cdc|process)_\w+)(\{[^}]*\})?", expression):
        if name not in labels_of:
            found.append(f"no metric {name}")
            continue
        union |= labels_of[name]
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        found += [f"{name} has no label {label}" for label in sorted(asked - labels_of[name] - TARGET)]
    for listed in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expression):
        asked = {label.strip() for label in listed.split(",") if label.strip()}
        found += [f"nothing in it has a label {label}" for label in sorted(asked - union)]
    return found


def queries() -> Iterable[tuple[str, str]]:
    yield from ((rule["alert"], rule["expr"]) for rule in RULES)
    for board in BOARDS:
        for panel in board.panels:
            yield from ((f"{board.name}: {panel.title}", query.expression) for query in panel.queries)


@pytest.mark.parametrize(("where", "expression"), [*queries()])
def test_a_query_asks_for_metrics_and_labels_that_exist(where: str, expression: str) -> None:
    assert mistakes(expression) == []


@pytest.mark.parametrize(
    ("expression", "mistake"),
    [
        ("max(cdc_stage_second_behind)", "no metric cdc_stage_second_behind"),
        ("sum(rate(cdc_gaps[5m]))", "no metric cdc_gaps"),
        ('cdc_stage_ready{table="x"}', "cdc_stage_ready has no label table"),
        ("sum by (bus) (cdc_stage_ready)", "nothing in it has a label bus"),
        ("sum by (le) (cdc_e2e_seconds_count)", "nothing in it has a label le"),
    ],
)
def test_a_query_for_what_nobody_has_is_found(expression: str, mistake: str) -> None:
    assert mistakes(expression) == [mistake]


def test_what_documentation_asks_for_exists() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8").partition("## What to look at")[2]
    asked = [query for query in re.findall(r"`([^`]*)`", page) if "cdc_" in query]
    assert asked
    assert [mistake for query in asked for mistake in mistakes(query)] == []


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {rule["alert"] for rule in RULES}
    assert {rule["annotations"]["runbook_url"] for rule in RULES} == {f"docs/runbooks/{name}.md" for name in pages}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_page_says_what_an_alert_means_what_to_look_at_what_to_do_and_when_it_ends(rule: dict[str, Any]) -> None:
    page = (RUNBOOKS / f"{rule['alert']}.md").read_text(encoding="utf-8")
    heads = ["What it means", "Look at", "Do", "It ends when"]
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == heads
    assert page.startswith(f"# {rule['alert']}\n\n`{rule['annotations']['command']}` first.")
    assert f"Severity: {rule['labels']['severity']}." in page


def test_the_index_of_the_pages_is_whole() -> None:
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \| `([^`]+)` \|$", index, re.MULTILINE)
    told = [(rule["alert"], rule["labels"]["severity"], rule["annotations"]["command"]) for rule in RULES]
    assert rows == sorted(told)


def refused(line: str) -> str | None:
    """Why there is no such command; None if there is."""
    command: click.Command = cdc
    words = line.split()[1:]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(click.Context(command), words[0])
        if inner is None:
            return f"no command {words[0]}"
        command, words = inner, words[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    unknown = [word for word in words if word.startswith("--") and word not in options]
    return f"no option {unknown[0]}" if unknown else None


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_commands_of_alerts_and_their_pages_exist(page: Path) -> None:
    named = re.findall(r"`(cdc [a-z][^`]*)`", page.read_text(encoding="utf-8"))
    assert named
    assert {line: why for line in named if (why := refused(line)) is not None} == {}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_file_of_a_dashboard_is_what_the_code_writes(board: Board) -> None:
    assert (DASHBOARDS / f"{board.name}.json").read_text(encoding="utf-8") == text_of(board), (
        "run `python -m workers.dashboards`"
    )


def test_there_is_no_dashboard_that_the_code_does_not_write() -> None:
    assert {path.stem for path in DASHBOARDS.glob("*.json")} == {board.name for board in BOARDS}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_panels_lie_side_by_side_within_the_grid(board: Board) -> None:
    panels = json.loads(text_of(board))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < COLUMNS


def test_every_panel_says_what_it_shows() -> None:
    assert [panel.title for board in BOARDS for panel in board.panels if not panel.says.endswith(".")] == []
