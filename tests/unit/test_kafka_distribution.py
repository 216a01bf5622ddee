"""The jars of Kafka are fetched once, whole and unaltered, or not at all."""

import hashlib
from pathlib import Path

import pytest

from sandbox.kafka.distribution import (
    VERSION,
    FetchError,
    Jar,
    cache_directory,
    class_path,
    install,
    pinned_jars,
)
from workers.failures import CommandError, ExitCode

CONTENT = b"a jar"
JAR = Jar(hashlib.sha256(CONTENT).hexdigest(), "org/example/thing/1.0/thing-1.0.jar")
OTHER = Jar(hashlib.sha256(b"another").hexdigest(), "org/example/other/2.0/other-2.0.jar")


def delivering(content: bytes, calls: list[str] | None = None):  # type: ignore[no-untyped-def]
    def fetch(jar: Jar, incoming: Path) -> Path:
        if calls is not None:
            calls.append(jar.name)
        path = incoming / jar.name
        path.write_bytes(content)
        return path

    return fetch


def unreachable(jar: Jar, incoming: Path) -> Path:
    raise FetchError("Connection refused")


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


def test_a_jar_with_the_right_sum_is_kept(tmp_path: Path) -> None:
    assert install(tmp_path, jars=[JAR], fetch=delivering(CONTENT), report=lambda _: None) == 1
    assert Path(class_path(tmp_path, [JAR])).read_bytes() == CONTENT


def test_an_altered_jar_is_named_and_not_kept(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"thing-1\.0\.jar") as caught:
        install(tmp_path, jars=[JAR], fetch=delivering(b"something else"), report=lambda _: None)
    assert caught.value.exit_code == ExitCode.ERROR
    assert "--setup" in caught.value.hint
    assert files(tmp_path) == []


def test_a_network_failure_names_the_file_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"thing-1\.0\.jar: Connection refused") as caught:
        install(tmp_path, jars=[JAR], fetch=unreachable, report=lambda _: None)
    assert caught.value.exit_code == ExitCode.UNREACHABLE
    assert "--setup" in caught.value.hint
    assert files(tmp_path) == []


def test_a_second_installation_fetches_nothing(tmp_path: Path) -> None:
    install(tmp_path, jars=[JAR], fetch=delivering(CONTENT), report=lambda _: None)
    assert install(tmp_path, jars=[JAR], fetch=unreachable, report=lambda _: None) == 0


def test_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    install(tmp_path, jars=[JAR], fetch=delivering(CONTENT), report=lambda _: None)
    calls: list[str] = []
    install(tmp_path, jars=[JAR, OTHER], fetch=delivering(b"another", calls), report=lambda _: None)
    assert calls == [OTHER.name]


def test_a_jar_damaged_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    install(tmp_path, jars=[JAR], fetch=delivering(CONTENT), report=lambda _: None)
    Path(class_path(tmp_path, [JAR])).write_bytes(b"torn")
    assert install(tmp_path, jars=[JAR], fetch=delivering(CONTENT), report=lambda _: None) == 1


def test_a_path_is_its_maven_coordinates() -> None:
    assert JAR.coordinates == ("org.example", "thing", "1.0")


def test_the_pinned_jars_are_of_exactly_one_kafka_version() -> None:
    versions = {jar.coordinates[2] for jar in pinned_jars() if jar.coordinates[0] == "org.apache.kafka"}
    assert versions == {VERSION}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"CDC_CACHE_DIR": "/own", "XDG_CACHE_HOME": "/xdg"}, Path("/own")),
        ({"XDG_CACHE_HOME": "/xdg"}, Path("/xdg/cdc-worker")),
        ({}, Path.home() / ".cache" / "cdc-worker"),
    ],
)
def test_the_cache_is_where_the_user_wants_it(environ: dict[str, str], expected: Path) -> None:
    assert cache_directory(None, environ) == expected
