"""What the views make of the answers of all workers."""

from typing import Any

import pytest

from workers.cluster.peers import Answer
from workers.settings.worker import Settings
from workers.web.standing import Standing, worst
from workers.web.views import config, pipeline, plain, sources


@pytest.fixture
def settings() -> Settings:
    return Settings.model_construct(partitions=4, source_slots=8)


def part(standing: str, slots: list[int], **more: Any) -> dict[str, Any]:
    return {
        "standing": standing, "reasons": [], "more_reasons": 0, "restarts": 0, "slots": slots, "records_behind": 0,
        "seconds_behind": 0.0, "rates": {"in": 1.0, "out": 0.5, "drop": 0.5, "dead_per_minute": 0}, "taken": 10,
        "outcomes": {"out": 5}, "tables": {"users": 7},
    } | more  # fmt: skip


def pipeline_of(settings: Settings, **workers: dict[str, Any] | str) -> dict[str, Any]:
    answers = [
        Answer(name, error=said) if isinstance(said, str) else Answer(name, {"started": 1, "stages": {"enrich": said}})
        for name, said in workers.items()
    ]
    return {stage["name"]: stage for stage in pipeline.merged(settings, answers)["stages"]}


def test_lag_is_the_sum_of_the_records_and_the_age_of_the_oldest(settings: Settings) -> None:
    enrich = pipeline_of(
        settings,
        one=part("running", [0, 1], records_behind=3, seconds_behind=1.5),
        two=part("running", [2, 3], records_behind=4, seconds_behind=0.5),
    )["enrich"]
    assert (enrich["records_behind"], enrich["seconds_behind"]) == (7, 1.5)
    assert (enrich["rates"]["in"], enrich["taken"], enrich["outcomes"]) == (2.0, 20, {"out": 10})
    assert enrich["tables"] == {"users": 7}
    assert enrich["unowned"] == []


def test_the_worst_worker_says_how_a_stage_stands_and_a_reason_is_told_once(settings: Settings) -> None:
    why = {"kind": "paused", "what": "stage", "why": "deploy, paused by ann"}
    enrich = pipeline_of(
        settings, one=part("paused", [0], reasons=[why | {"since_ms": 7_000}]),
        two=part("paused", [1], reasons=[why | {"since_ms": 5_000}]), older=part("paused", [], reasons=[why]),
        three=part("idle", []),
    )["enrich"]  # fmt: skip
    assert enrich["standing"] == "paused"
    assert enrich["reasons"] == [why | {"workers": ["older", "one", "two"], "since_ms": 5_000}]
    assert enrich["unowned"] == [2, 3]


def test_a_stage_names_every_sink_that_any_of_its_workers_has(settings: Settings) -> None:
    enrich = pipeline_of(
        settings, one=part("running", [0], sinks=["s3"]), two=part("running", [1], sinks=["s3", "sns"]),
        older=part("running", [2]),
    )["enrich"]  # fmt: skip
    assert enrich["sinks"] == ["s3", "sns"]


def test_workers_with_other_tables_than_each_other_stand_in_the_way(settings: Settings) -> None:
    found = pipeline_of(
        settings, one=part("running", [0], catalogue="old"), two=part("running", [1], catalogue="new")
    )["enrich"]  # fmt: skip
    (reason,) = found["reasons"]
    assert (reason["kind"], reason["what"], reason["workers"]) == ("differs", "tables.yaml", ["one", "two"])
    assert reason["why"].endswith("old on one; new on two")
    same = pipeline_of(settings, one=part("running", [0], catalogue="x"), two=part("idle", [], catalogue="x"))
    assert same["enrich"]["reasons"] == []


def test_a_stage_is_absent_only_if_every_worker_was_heard(settings: Settings) -> None:
    assert pipeline_of(settings, one=part("running", [0]))["publish"]["standing"] == "absent"
    found = pipeline_of(settings, one=part("running", [0]), two="no answer")
    assert (found["publish"]["standing"], found["enrich"]["unowned"]) == (None, [])


def test_a_stage_whose_app_is_being_made_is_starting(settings: Settings) -> None:
    starting = {"standing": "starting", "reasons": [], "more_reasons": 0, "restarts": 1}
    enrich = pipeline_of(settings, one=starting)["enrich"]
    assert (enrich["standing"], enrich["records_behind"], enrich["rates"]["in"]) == ("starting", None, 0)


def test_what_wants_an_operator_is_worse_than_what_goes_on_by_itself() -> None:
    assert worst([Standing.RUNNING, Standing.AWAY, Standing.BLOCKED, Standing.PAUSED]) is Standing.BLOCKED
    assert worst([Standing.IDLE, Standing.RUNNING]) is Standing.RUNNING
    assert worst([]) is None


def shard(name: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name, "parents": [], "slot": 2, "share": 0.5, "open": True, "listed": True, "ended": False,
        "sequence": None, "records": None, "arrival": None, "age_ms": None, "gaps": 0,
    } | more  # fmt: skip


def sources_of(**workers: tuple[list[int], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    answers = [
        Answer(name, {"slots": slots, "sources": [{"name": "core", "arn": None, "troubles": [], "shards": shards}]})
        for name, (slots, shards) in workers.items()
    ]
    (source,) = sources.merged([*answers, Answer("silent", error="no answer")])
    found: list[dict[str, Any]] = source["shards"]
    return found


def test_the_owner_of_a_shard_tells_what_reading_it_met_and_the_furthest_position_counts() -> None:
    report = {"state": "READING", "why": "", "age_ms": 40, "behind_ms": 0, "throttles": 2, "rebuilds": 0,
              "failures": 0, "errors": {"Throttled": 2}}  # fmt: skip
    (found,) = sources_of(
        late=([0], [shard("s", sequence="99", records=1)]),
        owner=([2], [shard("s", sequence="100", records=2, report=report)]),
        old=([1], [shard("s", sequence="12", records=1)]),
    )
    assert (found["owner"], found["state"], found["throttles"], found["age_ms"]) == ("owner", "READING", 2, 40)
    assert (found["sequence"], found["records"]) == ("100", 2)


def test_a_shard_that_nobody_reads_is_ended_pending_or_gone() -> None:
    found = sources_of(one=([0], [
        shard("a", ended=True), shard("b"), shard("c", listed=False),
        shard("d", report={"state": "BLOCKED", "parents": ["a"]}),
    ]))  # fmt: skip
    assert [one["state"] for one in found] == ["ENDED", "PENDING", "GONE", "BLOCKED"]
    assert found[3]["waits_for"] == ["a"]


def running_with(version: str, **values: str) -> dict[str, Any]:
    rows = [{"name": name, "field": name.lower(), "value": value} for name, value in values.items()]
    return {"version": version, "python": "3.11", "started": 1, "fingerprint": "f", "tables": {"enrich": "t"},
            "settings": rows}  # fmt: skip


def test_settings_that_differ_between_workers_are_told_unless_they_are_of_one_worker() -> None:
    found = config.merged("one", [
        Answer("one", running_with("1", CDC_LINGER="0.1", WORKER_NAME="one")),
        Answer("two", running_with("1", CDC_LINGER="0.2", WORKER_NAME="two")),
        Answer("silent", error="no answer"),
    ])  # fmt: skip
    assert found["drift"] == [{"what": "CDC_LINGER", "values": {"one": "0.1", "two": "0.2"}}]
    assert [worker["error"] for worker in found["workers"]] == [None, None, "no answer"]


def test_the_status_without_javascript_escapes_what_comes_from_outside(settings: Settings) -> None:
    markup = "<script>1</script>"
    reason = {"kind": "blocked", "what": markup, "why": markup, "since_ms": 1_768_473_000_000}
    answers = [
        Answer(markup, {"started": 1, "stages": {"enrich": part("blocked", [0], reasons=[reason])}}),
        Answer("two", error=markup),
    ]
    text = plain.document(pipeline.merged(settings, answers), markup, 1_768_473_060_000)
    assert markup not in text
    assert text.count("&lt;script&gt;1&lt;/script&gt;") >= 5
    assert "2026-01-15T10:31:00Z" in text
    assert "; since 2026-01-15T10:30:00Z)" in text


async def test_examinations_are_not_made_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []

    class Found:
        def document(self) -> dict[str, Any]:
            return {"findings": []}

    def examine(*, seconds: float) -> Found:
        made.append(seconds)
        return Found()

    monkeypatch.setattr(config, "examine", examine)
    examinations = config.Examinations()
    begun: list[str] = []
    first = await examinations.report(lambda: begun.append("begun"))
    assert await examinations.report(lambda: begun.append("again")) == first
    assert len(made) == 1
    assert begun == ["begun"]
