"""Whose database a world has: one of its own, or yours."""

from pathlib import Path

import pytest

from sandbox.postgres import PostgresServer, find_programs, is_of_a_sandbox
from sandbox.world import World

YOURS = "postgresql://me:secret@db.example:5432/core"
LEFT_BEHIND = "postgresql://sandbox:0123@127.0.0.1:25432/sandbox"
"""What `eval "$(cdc sandbox env)"` leaves in a shell after `cdc sandbox down`."""


def servers(world: World) -> list[str]:
    return [part.name for part in world.parts if isinstance(part, PostgresServer)]


def test_a_world_has_a_database_only_if_it_is_asked_for(tmp_path: Path) -> None:
    assert servers(World(tmp_path)) == []
    assert servers(World(tmp_path, postgres=True)) == ["postgres"]


def test_a_database_of_yours_is_used_instead(tmp_path: Path) -> None:
    assert servers(World(tmp_path, postgres=True, database_url=YOURS)) == []


def test_the_url_of_an_earlier_sandbox_is_not_taken_for_yours(tmp_path: Path) -> None:
    assert servers(World(tmp_path, postgres=True, database_url=LEFT_BEHIND)) == ["postgres"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (LEFT_BEHIND, True),
        (YOURS, False),
        ("", False),
        ("postgresql://a[b@c/d", False),
        ("postgresql://sandbox:0123@127.0.0.1:25432/core", False),
        ("postgresql://me:0123@127.0.0.1:25432/sandbox", False),
    ],
)
def test_a_sandbox_is_known_by_host_user_and_database(url: str, expected: bool) -> None:
    assert is_of_a_sandbox(url) is expected


def test_the_newest_postgresql_of_the_wheel_is_taken() -> None:
    found = find_programs()
    others = [int(path.name.removeprefix("pginstall") or 0) for path in found.parent.parent.glob("pginstall*")]
    assert (found / "initdb").exists()
    assert int(found.parent.name.removeprefix("pginstall")) == max(others)
