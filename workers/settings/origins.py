"""Where the value of each setting comes from: a flag, the environment, a line of `.env`, or its default."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

OURS = "CDC_"


class OriginKind(StrEnum):
    """Who says what a setting is, strongest first. File and SSM hold a secret that another setting points to."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    ENV_FILE = ".env"
    FILE = "file"
    SSM = "ssm"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Origin:
    """`where`: name of the variable, `.env:3`, path of a file, name of a parameter; empty for flags and defaults."""

    kind: OriginKind = OriginKind.DEFAULT
    where: str = ""


@dataclass(frozen=True, slots=True)
class Origins:
    """Of every field. Equal to any other: where values came from is no part of what they are."""

    by_field: Mapping[str, Origin] = field(default_factory=dict, compare=False)


def names_of(info: FieldInfo) -> tuple[str, ...]:
    """Names of a setting in the environment; the first is its own, others are read, too."""
    alias = info.validation_alias
    return tuple(map(str, alias.choices)) if isinstance(alias, AliasChoices) else (str(alias),)


def env_file_lines(path: str | None) -> dict[str, int]:
    """{name: number of the line that counts, the last one}, of a file like `.env`; empty if there is none."""
    if not path or not Path(path).is_file():
        return {}
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    words = ((number, line.strip().removeprefix("export ")) for number, line in enumerate(lines, 1))
    return {word.split("=", 1)[0].strip(): number for number, word in words if "=" in word and not word.startswith("#")}


def find_origins(
    fields: Mapping[str, FieldInfo], flags: Collection[str], environment: Mapping[str, str], env_file: str | None
) -> Origins:
    """Where each field comes from. `flags`: fields that the caller gave; names in the environment count in any case, as
    pydantic reads them."""
    given = {name.upper(): name for name in environment}
    lines = {name.upper(): number for name, number in env_file_lines(env_file).items()}
    return Origins(
        {name: _origin(name, names_of(info), flags, given, lines, env_file) for name, info in fields.items()}
    )


def _origin(
    field: str, names: tuple[str, ...], flags: Collection[str], given: Mapping[str, str], lines: Mapping[str, int],
    env_file: str | None,
) -> Origin:  # fmt: skip
    if field in flags:
        return Origin(OriginKind.FLAG)
    for name in names:
        if name.upper() in given:
            return Origin(OriginKind.ENVIRONMENT, given[name.upper()])
    for name in names:
        if name.upper() in lines:
            return Origin(OriginKind.ENV_FILE, f"{env_file}:{lines[name.upper()]}")
    return Origin()


def unknown_names(known: Collection[str], environment: Collection[str], env_file: str | None) -> list[str]:
    """A mistake for each name of ours that no setting has, with the one it may have meant."""
    seen = {name for name in (*environment, *env_file_lines(env_file)) if name.startswith(OURS)}
    close = {name: difflib.get_close_matches(name, known, n=1) for name in sorted(seen - set(known))}
    return [f"unknown setting {name}" + (f", did you mean {like[0]}?" if like else "") for name, like in close.items()]
