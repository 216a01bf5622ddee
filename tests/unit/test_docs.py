"""What the documentation names exists, and its examples give what it says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from models.catalogue import load_catalogue
from workers.cli.main import COMMANDS, cdc
from workers.kafka.topics import plan
from workers.settings.worker import Settings, environment_names

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEPLOYMENT = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
PAGES = sorted([
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *(ROOT / "docs").rglob("*.md"),
])  # fmt: skip
ROOMS = ("models", "enrichers", "workers", "sandbox", "tests", "docs", "events", "requirements", "bench", ".ci")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)")
NODE = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
FIRST_SCREEN = 40
WITH_OTHER_PARTS = {"health", "logs"}
"""Commands that docs/from-lambda.md names and that may not be there yet; once they are, they are looked at."""


def blocks(text: str, language: str) -> list[str]:
    """Contents of the fenced blocks of one language."""
    return [body for found, body in FENCE.findall(text) if found == language]


def commands(text: str) -> Iterator[str]:
    """Every line of code: of shell blocks, and in single backticks."""
    for language, body in FENCE.findall(text):
        if language in ("sh", "bash"):
            yield from (line.split("#")[0].strip() for line in body.splitlines())
    yield from CODE.findall(FENCE.sub("", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_exists(page: Path) -> None:
    missing = []
    for code in CODE.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        for word in code.split():
            path = word.split("::")[0]
            if path.startswith(tuple(f"{room}/" for room in ROOMS)) and not re.search(r"[<>*…]", path):
                missing += [path] if not (ROOT / path).exists() else []
    assert missing == []


def test_every_pytest_id_exists() -> None:
    named = [found for page in PAGES for found in NODE.findall(page.read_text(encoding="utf-8"))]
    assert named
    gone = [
        f"{path}::{test}" for path, test in named if f"def {test}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert gone == []


def test_every_promise_names_a_mutant_and_every_mutant_named_exists() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(p\d-[\w-]+)`", page))
    assert named <= {path.stem for path in (ROOT / "tests/mutants").glob("*.patch")}
    assert {name[:2] for name in named} == {f"p{number}" for number in range(1, 9)}


def test_the_index_lists_every_decision() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    decisions = {path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    assert set(LINK.findall(index)) == decisions


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {line.split()[1] for line in commands(page.read_text(encoding="utf-8")) if line.startswith("make ")}
    assert named
    assert named <= targets


@pytest.mark.parametrize("page", [
    "README.md", "docs/deployment.md", "docs/from-lambda.md", "docs/operating.md", "docs/schemas.md",
    "docs/troubleshooting.md",
])  # fmt: skip
def test_every_cdc_command_and_option_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = [found[1] for line in commands(text) if (found := re.search(r"(?:^|\s|\()(cdc [a-z].*)", line))]
    assert named
    for line in named:
        words = [word.strip('"()') for word in line.split()][1:]
        if words[0] in WITH_OTHER_PARTS - COMMANDS.keys():
            continue
        command: click.Command = cdc
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            inner = command.get_command(click.Context(command), words.pop(0))
            assert inner is not None, line
            command = inner
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_every_command_is_shown() -> None:
    assert [name for name in COMMANDS if f"cdc {name}" not in README] == []


def test_every_setting_that_is_named_exists() -> None:
    known = environment_names()
    named = {name for page in PAGES for name in re.findall(r"\bCDC_[A-Z_]+\b", page.read_text(encoding="utf-8"))}
    assert named - known.keys() == set()


def test_the_first_screen_shows_both_commands() -> None:
    screen = "\n".join(README.splitlines()[:FIRST_SCREEN])
    assert re.search(r"^make demo\b", screen, re.MULTILINE)
    assert re.search(r"^make test\b", screen, re.MULTILINE)


def test_the_topics_to_create_are_those_the_worker_wants() -> None:
    (script,) = blocks(DEPLOYMENT, "bash")
    told = subprocess.run(
        ["bash", "-euc", "kafka-topics() { printf '%s\\t' \"$@\"; echo; }\n" + script],
        env={"PATH": os.environ["PATH"], "KAFKA_BOOTSTRAP_SERVERS": "broker:9092"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    shown = {}
    for line in told.splitlines():
        words = line.rstrip("\t").split("\t")
        after = {words[place]: words[place + 1] for place in range(len(words) - 1)}
        settings = dict(word.split("=") for word in words if "=" in word)
        shown[after["--topic"]] = (int(after["--partitions"]), settings)
    lookups = load_catalogue("telephony", None).lookups
    wanted = {topic.name: (topic.partitions, topic.config) for topic in plan(Settings(_env_file=None), lookups)}
    assert shown == wanted


def test_the_example_of_tables_yaml_gives_what_is_shown(tmp_path: Path) -> None:
    (tables,) = (body for body in blocks(README, "yaml") if "tables:" in body)
    (records,) = (body for body in blocks(README, "json") if '"orders"' in body)
    (tmp_path / "tables.yaml").write_text(tables, encoding="utf-8")
    (tmp_path / "orders.json").write_text(records, encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if name not in environment_names()}
    (line,) = (line for line in commands(README) if line.startswith("CDC_TABLES="))
    words = line.split()
    result = subprocess.run(
        [sys.executable, "-m", "workers", *words[2:]],
        cwd=tmp_path, env=clean | dict([words[0].split("=")]) | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, next(b for b in blocks(README, "text") if b.startswith("EVENT")))


def test_the_python_example_of_redaction_prints_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs/redaction.md").read_text(encoding="utf-8")
    (example,) = blocks(page, "python")
    exec(compile(example, "redaction.py", "exec"), {})
    assert capsys.readouterr().out == blocks(page, "text")[0]


def test_the_rules_of_the_page_on_redaction_are_taken(tmp_path: Path) -> None:
    (rules,) = blocks((ROOT / "docs/redaction.md").read_text(encoding="utf-8"), "yaml")
    path = tmp_path / "tables.yaml"
    entry = "version: 1\ntables:\n  - table: t\n    entity: t\n    key: [ID]\n"
    path.write_text(entry + "".join(f"    {line}\n" for line in rules.splitlines()), encoding="utf-8")
    (spec,) = load_catalogue("none", path).specs
    assert len(spec.redact) == len(rules.splitlines()) - 1


def test_the_policy_is_json() -> None:
    (policy,) = (body for body in blocks(DEPLOYMENT, "json") if "Statement" in body)
    assert json.loads(policy)["Statement"]


def test_the_python_example_compiles() -> None:
    (example,) = blocks(README, "python")
    compile(example, "look.py", "exec")
