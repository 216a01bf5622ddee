"""The alarms that are deployed ring on metrics that workers send, and the page says what both are."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from workers.health.figures import FIGURES
from workers.health.verdicts import CHECKS
from workers.settings.worker import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/health.md").read_text(encoding="utf-8")


class Template(yaml.SafeLoader):
    """Short forms of intrinsic functions: `!Ref A` -> {"Ref": "A"}."""


def _function(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> Any:
    match node:
        case yaml.ScalarNode():
            return {tag: loader.construct_scalar(node)}
        case yaml.SequenceNode():
            return {tag: loader.construct_sequence(node, deep=True)}
        case _:
            raise TypeError(tag)


Template.add_multi_constructor("!", _function)
TEMPLATE = yaml.load((ROOT / "deploy/cloudwatch/template.yaml").read_text(encoding="utf-8"), Template)
RESOURCES = TEMPLATE["Resources"]
ALARMS = {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"}


def references(found: Any) -> set[str]:
    if isinstance(found, dict):
        named = {found["Ref"]} if isinstance(found.get("Ref"), str) else set()
        return named.union(*map(references, found.values()))
    return set().union(*map(references, found)) if isinstance(found, list) else set()


def test_every_figure_has_an_alarm_and_every_alarm_a_figure() -> None:
    assert {alarm["MetricName"] for alarm in ALARMS.values()} == {figure.name for figure in FIGURES}
    assert {str(alarm["Namespace"]) for alarm in ALARMS.values()} == {"{'Ref': 'Namespace'}"}


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_asks_for_the_statistic_and_the_dimensions_that_are_sent(name: str) -> None:
    alarm = ALARMS[name]
    figure = next(figure for figure in FIGURES if figure.name == alarm["MetricName"])
    assert alarm["Statistic"] == figure.statistic
    assert alarm["Dimensions"] == [{"Name": "App", "Value": {"Ref": "App"}}]
    assert alarm["TreatMissingData"] in ("breaching", "notBreaching", "missing")


def test_the_alarm_of_the_pipeline_before_has_its_threshold() -> None:
    alarm = ALARMS["CDCProcessorErrorAlarm"]
    kept = ("MetricName", "Statistic", "Period", "EvaluationPeriods", "Threshold", "ComparisonOperator")
    assert [alarm[name] for name in kept] == ["Errors", "Sum", 300, 2, 10, "GreaterThanThreshold"]
    assert alarm["AlarmName"] == {"Sub": "${App}-processor-errors"}


def test_defaults_are_those_of_the_settings() -> None:
    defaults = {name: parameter["Default"] for name, parameter in TEMPLATE["Parameters"].items()}
    settings = Settings(_env_file=None)
    assert (defaults["App"], defaults["Namespace"]) == (settings.app, settings.health_namespace)


def test_what_is_referred_to_is_there() -> None:
    known = {*TEMPLATE["Parameters"], *RESOURCES, "AWS::NoValue"}
    assert references(RESOURCES) | references(TEMPLATE["Outputs"]) <= known
    used = {one["Condition"] for one in RESOURCES.values() if "Condition" in one}
    assert used <= TEMPLATE["Conditions"].keys()


def test_the_policy_allows_what_checks_ask_for_and_the_page_says_so() -> None:
    statements = RESOURCES["HealthPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    allowed = set(re.findall(r"[a-z]+:[A-Z][A-Za-z]+", str(statements)))
    assert allowed == {
        "cloudwatch:PutMetricData", "cloudwatch:DescribeAlarms", "rds:DescribeDBInstances", "rds:DescribeDBClusters",
        "kinesis:PutRecord",
    }  # fmt: skip
    assert all(f"`{action}`" in PAGE for action in allowed)


def test_the_page_lists_every_figure_and_every_check() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert [row for row in rows if row[1] in ("Sum", "Maximum")] == [
        (figure.name, figure.statistic, figure.says) for figure in FIGURES
    ]
    assert set(CHECKS) <= set(re.findall(r"^\| `([a-z0-9]+)` \|", PAGE, re.MULTILINE))
