"""Two redaction keys at once: while one replaces the other, every event names the tokens of both."""

import json
from pathlib import Path
from typing import Any

import pytest

from enrichers.pipeline import PipelineOptions
from enrichers.redact import Secret, key_check
from tests.unit.changes import KEY, Worker, catalogue_of, dms
from workers.contract import key_checks
from workers.engine.configuration import StageConfig, conflicts
from workers.failures import ConfigurationError
from workers.settings.worker import Settings, SettingsError, load_settings

NEXT = b"the key that comes next"
OLD = PipelineOptions(redaction_key=KEY)
BOTH = PipelineOptions(redaction_key=KEY, other_redaction_key=NEXT, other_redaction_key_version=2)
SWITCHED = PipelineOptions(
    redaction_key=NEXT, redaction_key_version=2, other_redaction_key=KEY, other_redaction_key_version=1
)
NEW = PipelineOptions(redaction_key=NEXT, redaction_key_version=2)
ENTRY = """
  - table: t
    entity: t
    key: [Phone]
    owner: {org: {column: Org}}
    images: [after]
    redact:
      Phone: HASH
      Org: TOKENIZE
      Mail: {action: TOKENIZE, link_group: mail}
      Note: {action: HASH, patterns: [email]}
"""
ROW = {"Phone": "+41446681800", "Org": "acme", "Mail": "a@x.test", "Note": "ask a@x.test"}


def details(directory: Path) -> list[dict[str, Any]]:
    """The same change under each of the four configurations of a rotation."""
    catalogue = catalogue_of(directory, ENTRY)
    value = dms("update", ROW, table="t", before={"Phone": "+41446681801", "Mail": "b@x.test"}, transaction=1)
    return [Worker(catalogue, options).event(value) for options in (OLD, BOTH, SWITCHED, NEW)]


def tokens(detail: dict[str, Any]) -> dict[str, str]:
    return {
        "key": detail["keys"]["Phone"],
        "former key": detail["previousKeys"]["Phone"],
        "org": detail["orgId"],
        "mail": detail["changes"]["Mail"]["new"],
        "former mail": detail["changes"]["Mail"]["old"],
        "image": detail["after"]["Mail"],
    }


def test_while_there_are_two_keys_every_event_translates_its_tokens(tmp_path: Path) -> None:
    old, both, switched, new = details(tmp_path)
    assert tokens(old) == tokens(both)
    assert tokens(switched) == tokens(new)
    for place, token in tokens(old).items():
        assert both["metadata"]["aliases"][token] == tokens(new)[place]
        assert switched["metadata"]["aliases"][tokens(new)[place]] == token
    assert "aliases" not in old["metadata"]
    assert "aliases" not in new["metadata"]
    assert len(both["metadata"]["aliases"]) == 5


def test_the_event_id_does_not_depend_on_the_key(tmp_path: Path) -> None:
    assert len({detail["eventId"] for detail in details(tmp_path)}) == 1


def test_aliases_hold_no_value(tmp_path: Path) -> None:
    for detail in details(tmp_path):
        text = json.dumps(detail)
        assert not [value for value in ("668180", "acme", "@x.test") if value in text]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"redaction_key_other": "x" * 16}, "belong together"),
        ({"redaction_key_other_version": 2}, "belong together"),
        ({"redaction_key_other": "x" * 16, "redaction_key_other_version": 1}, "are the same"),
        ({"redaction_key": None, "redaction_key_other": "x" * 16, "redaction_key_other_version": 2}, "without CDC_RED"),
        (
            {"redaction_key_other": "x" * 16, "redaction_key_other_file": "f", "redaction_key_other_version": 2},
            "not both",
        ),
    ],
)
def test_settings_of_two_keys_that_contradict_each_other_are_refused(values: dict[str, Any], expected: str) -> None:
    with pytest.raises(SettingsError, match=expected) as raised:
        load_settings({"redaction_key": "y" * 16, **values}, env_file=None)
    assert "xxxx" not in str(raised.value)


def test_the_other_key_comes_from_a_file_too_and_must_be_long_enough(tmp_path: Path) -> None:
    path = tmp_path / "key"
    settings = Settings(
        _env_file=None, redaction_key="y" * 16, redaction_key_other_file=path, redaction_key_other_version=2
    )
    path.write_text("0123456789abcdef\n")
    assert settings.other_redaction_secret() == (b"0123456789abcdef", 2)
    path.write_text("hunter2")
    with pytest.raises(ConfigurationError) as raised:
        settings.other_redaction_secret()
    assert "hunter2" not in str(raised.value) + raised.value.hint


def test_a_worker_with_another_key_of_the_same_version_is_refused() -> None:
    def stage(options: PipelineOptions) -> StageConfig:
        return StageConfig(sources={}, changelogs={}, contract=key_checks(options))

    assert conflicts(stage(OLD), stage(BOTH)) == conflicts(stage(BOTH), stage(SWITCHED)) == []
    (told,) = conflicts(stage(BOTH), stage(PipelineOptions(redaction_key=b"another key", redaction_key_version=2)))
    assert told.startswith("check value of redaction key version 2 is ")
    assert key_check(Secret(NEXT)) in told
    assert key_checks(PipelineOptions()) == {}
