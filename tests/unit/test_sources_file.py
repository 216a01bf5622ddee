"""sources.yaml: what it may say, and every mistake at once."""

from pathlib import Path

import pytest

from models.source_spec import SourceSpec
from models.sources.reading import PLAIN, Reading
from models.sources_file import read_sources
from models.start_position import StartAt
from models.yaml_nodes import InvalidFile
from workers.kafka.topics import Topics
from workers.settings.worker import Settings, SettingsError, load_settings

ARN = "arn:aws:kinesis:eu-west-1:222222222222:stream/crm-changes"
ROLE = "arn:aws:iam::222222222222:role/cdc-reader"
TWO = f"""\
version: 1
sources:
  - name: core
    stream: coredb-cdc-stream
  - name: crm
    stream: {ARN}
    role: {ROLE}
    external_id: ours
    endpoint: https://vpce-1.kinesis.eu-west-1.vpce.amazonaws.com
    start: LATEST
    adapter: dms
    enabled: false
"""


def sources(tmp_path: Path, text: str) -> tuple[SourceSpec, ...]:
    path = tmp_path / "sources.yaml"
    path.write_text(text, encoding="utf-8")
    return read_sources(path, "us-east-1", StartAt("AT_TIMESTAMP", 5))


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        sources(tmp_path, text)
    return caught.value.problems


def test_a_source_takes_region_and_start_from_the_settings(tmp_path: Path) -> None:
    core, _ = sources(tmp_path, TWO)
    assert core == SourceSpec("core", "coredb-cdc-stream", "us-east-1", start=StartAt("AT_TIMESTAMP", 5))


def test_an_arn_says_the_region(tmp_path: Path) -> None:
    _, crm = sources(tmp_path, TWO)
    assert (crm.region, crm.account, crm.role, crm.external_id) == ("eu-west-1", "222222222222", ROLE, "ours")
    assert (crm.start, crm.adapter, crm.enabled) == (StartAt("LATEST"), "dms", False)


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    text = f"""\
version: 1
sources:
  - name: core
    stream: no stream!
  - name: a/b
    stream: one
    start: yesterday
    adapter: dmz
  - stream: {ARN}
    region: us-east-1
    external_id: ours
    roll: x
"""
    assert problems(tmp_path, text) == [
        "sources.yaml:4: stream must be a stream's name or its ARN",
        "sources.yaml:5: name may only hold letters, digits, ., _ and -",
        "sources.yaml:7: start: neither TRIM_HORIZON nor LATEST nor a time like 2026-01-15T10:00:00Z",
        "sources.yaml:8: adapter: unknown word dmz, did you mean dms?",
        "sources.yaml:9: a source needs `name`, of its topic raw.<name>",
        "sources.yaml:10: region is us-east-1, the ARN says eu-west-1: leave it out",
        "sources.yaml:11: external_id belongs to a `role`",
        "sources.yaml:12: source: unknown field roll, did you mean role?",
    ]


@pytest.mark.parametrize(("second", "expected"), [
    ("{name: core, stream: other}", "two sources have the name core, the other on line 3"),
    ("{name: other, stream: coredb}", "two sources read the stream coredb, the other on line 3"),
    ("{name: other, stream: other, role: reader}", "role must be the ARN of an IAM role"),
    ("{name: other, stream: other, endpoint: 'https://host/path'}", "endpoint must be an http or https URL"),
])  # fmt: skip
def test_sources_do_not_get_in_each_others_way(tmp_path: Path, second: str, expected: str) -> None:
    (problem,) = problems(tmp_path, f"version: 1\nsources:\n  - {{name: core, stream: coredb}}\n  - {second}\n")
    assert problem.startswith(f"sources.yaml:4: {expected}")


@pytest.mark.parametrize("text", ["version: 1\n", "version: 1\nsources: []\n"])
def test_a_file_without_a_source_is_a_mistake(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == ["sources.yaml:1: there is no source: list at least one below `sources:`"]


def test_the_settings_read_the_file_and_every_source_gets_a_raw_topic(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text(TWO, encoding="utf-8")
    settings = load_settings({"sources_file": tmp_path / "sources.yaml"}, env_file=None)
    assert [source.name for source in settings.sources] == ["core", "crm"]
    assert Topics.of(settings).raw == {"core": "cdc.raw.core", "crm": "cdc.raw.crm"}


def test_mistakes_of_the_file_are_told_with_those_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text("version: 1\nsources: [{name: core}]\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings({"sources_file": tmp_path / "sources.yaml", "enable_data_redaction": False}, env_file=None)
    assert caught.value.problems == [
        "sources.yaml:2: a source needs `stream`, its name or ARN",
        "ENABLE_DATA_REDACTION=false is allowed only with ENVIRONMENT=LOCAL",
    ]


def test_the_example_of_the_page_on_deployment_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/deployment.md").read_text(encoding="utf-8")
    example = "version: 1\nsources:" + page.split("version: 1\nsources:", 1)[1].split("```", 1)[0]
    assert [source.name for source in sources(tmp_path, example)] == ["core", "crm"]


def test_without_a_file_there_is_the_one_source_of_the_environment() -> None:
    settings = Settings(_env_file=None, source="crm", kinesis_stream_name=ARN, start_at="LATEST")
    assert settings.sources == (SourceSpec("crm", ARN, "eu-west-1", start=StartAt("LATEST")),)


@pytest.mark.parametrize(("arn", "served"), [
    (ARN, True),
    (ARN.replace("eu-west-1", "us-east-1"), False),
    (ARN.replace("2222", "3333"), False),
    (ARN.replace("crm", "crm2"), False),
    ("crm-changes", False),
])  # fmt: skip
def test_a_source_knows_the_arn_of_its_stream(arn: str, served: bool) -> None:
    assert SourceSpec("crm", ARN, "eu-west-1").serves(arn) is served
    assert SourceSpec("crm", "crm-changes", "eu-west-1", role=ROLE).serves(arn) is served


def test_without_a_role_the_account_of_a_name_is_not_known() -> None:
    assert SourceSpec("crm", "crm-changes", "eu-west-1").serves(ARN.replace("2222", "3333"))


DMS = """\
version: 1
sources:
  - name: core
    stream: one
    before_image: was
    before_prefix: ""
    before_suffix: _old
    absent_columns: "null"
    lob_max_size: 32
  - name: crm
    stream: two
"""


def test_a_source_says_what_its_dms_task_is_set_to(tmp_path: Path) -> None:
    core, crm = sources(tmp_path, DMS)
    assert core.reading == Reading("was", "", "_old", "null", 32)
    assert crm.reading == PLAIN


def test_mistakes_about_a_task_are_told_too(tmp_path: Path) -> None:
    text = """\
version: 1
sources:
  - name: core
    stream: one
    before_image: data
    before_prefix: "a b"
    absent_columns: maybe
    lob_max_size: much
  - name: orders
    stream: two
    adapter: dynamodb
    before_image: was
"""
    assert problems(tmp_path, text) == [
        "sources.yaml:5: before_image cannot be data: DMS has that for something else",
        "sources.yaml:6: before_prefix may only hold letters, digits, _, $ and #",
        "sources.yaml:7: absent_columns: unknown word maybe (known: null, unchanged)",
        "sources.yaml:8: lob_max_size must be a whole number from 0 to 102400",
        "sources.yaml:12: before_image belongs to records of DMS",
    ]


def test_a_time_zone_nobody_knows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_TIME_ZONE", "Europe/Zuerich")
    with pytest.raises(SettingsError, match="no time zone that this machine knows"):
        load_settings(env_file=None)
