"""Event patterns as people keep them: one alone, answers of the AWS command line, or a CloudFormation template."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from models.pattern_operators import InvalidPattern
from workers.failures import CommandError

ARCHIVE = "AWS::Events::Archive"
FORMS = "a pattern, a template of CloudFormation, or what `aws events describe-rule` or `list-rules` print"


@dataclass(frozen=True, slots=True)
class NamedPattern:
    """A pattern with the name of its rule or archive."""

    name: str
    pattern: str
    """JSON."""
    enabled: bool = True
    is_archive: bool = False


class _Loader(yaml.SafeLoader):
    """Short forms of CloudFormation (`!Ref`, `!GetAtt`, …) stand for values that only a deployment knows."""


_Loader.add_multi_constructor("!", lambda _loader, suffix, _node: f"!{suffix}")


def read_patterns(text: str, name: str) -> list[NamedPattern]:
    """Every pattern of a document. `name`: what a pattern alone is called. Raises CommandError, and InvalidPattern for
    one that is no JSON."""
    try:
        document = json.loads(text)
    except ValueError as error:
        if text.lstrip().startswith("{"):  # YAML would forgive what EventBridge does not
            where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
            raise InvalidPattern(f"it is no JSON{where}") from None
        document = _of_yaml(text, name)
    if not isinstance(document, dict):
        raise CommandError(f"{name} holds no event pattern", hint=f"give {FORMS}")
    found = list(_patterns(document, name))
    if not found:
        raise CommandError(f"{name} holds no rule with an event pattern", hint=f"give {FORMS}")
    return found


def _of_yaml(text: str, name: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506  a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise CommandError(f"{name} is neither JSON nor YAML{where}") from None


def _patterns(document: dict[str, Any], name: str) -> Iterator[NamedPattern]:
    match document:
        case {"Resources": dict(resources)}:
            for logical, resource in resources.items():
                match resource:
                    case {"Type": "AWS::Events::Rule" | "AWS::Events::Archive" as kind, "Properties": dict(properties)}:
                        yield from _of_properties(logical, properties, is_archive=kind == ARCHIVE)
                    case _:
                        pass
        case {"Rules": list(rules)}:
            for rule in rules:
                yield from _of_properties(str(rule.get("Name", name)), rule)
        case {"EventPattern": _}:
            yield from _of_properties(str(document.get("Name", document.get("ArchiveName", name))), document)
        case _:
            yield NamedPattern(name, json.dumps(document))


def _of_properties(name: str, properties: dict[str, Any], *, is_archive: bool = False) -> Iterator[NamedPattern]:
    """Nothing for a rule with a schedule only; an archive without a pattern takes everything."""
    pattern = properties.get("EventPattern")
    if pattern is None and is_archive:
        pattern = {"source": [{"prefix": ""}]}
    if pattern is not None:
        text = pattern if isinstance(pattern, str) else json.dumps(pattern)
        yield NamedPattern(name, text, str(properties.get("State", "ENABLED")) != "DISABLED", is_archive)
