"""What workers say of their stages, on the screen of `cdc status`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.unit.test_status_screen import ENRICH, GAP, NOW, STOP
from workers.cluster.peers import OTHERS, Answer
from workers.overview.figures import Figures, Notice, NoticeKind
from workers.overview.hearsay import heard
from workers.overview.judgement import State, judge

REFUSED = "cdc.dead does not exist. Create it"


class Said:
    """Workers that answer this."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = answers

    async def ask(self, path: str, query: Mapping[str, str] | None = None, *, seconds: float = 0) -> tuple[Answer, ...]:
        return self.answers


def reasons(*told: tuple[str, str, str], since_ms: int = 0) -> dict[str, Any]:
    found = [{"kind": kind, "what": what, "why": why, "since_ms": since_ms} for kind, what, why in told]
    return {"stages": {"enrich": {"reasons": found}}}


def notice(kind: NoticeKind, what: str, since_ms: int = 0) -> Notice:
    return Notice("enrich", kind, what, REFUSED, ("a",), (what,), since_ms)


async def test_what_several_slots_and_workers_say_is_one_notice() -> None:
    found = await heard(
        Said(
            Answer("a", reasons(("blocked", "slot 1", REFUSED), ("blocked", "slot 2", REFUSED))),
            Answer("b", reasons(("blocked", "slot 3", REFUSED), ("blocked", "slot 4", REFUSED))),
        )
    )
    (one,) = found.of("enrich")
    assert (one.what, one.why, one.workers) == ("slot 1, slot 2, slot 3 and 1 more", REFUSED, ("a", "b"))
    assert (found.of("publish"), found.unheard) == ((), ())


async def test_a_notice_is_as_old_as_the_first_who_says_it() -> None:
    refused = ("blocked", "slot 1", REFUSED)
    unknown = {"stages": {"enrich": {"reasons": [{"kind": "blocked", "what": "slot 1", "why": REFUSED}]}}}
    found = await heard(
        Said(
            Answer("a", reasons(refused, since_ms=7_000)), Answer("b", reasons(refused, since_ms=5_000)),
            Answer("of an older release", unknown),
        )
    )  # fmt: skip
    assert [one.since_ms for one in found.notices] == [5_000]


def test_a_blocked_stage_says_since_when() -> None:
    view = judge(replace(ENRICH, rate=5.0, notices=(notice(NoticeKind.BLOCKED, "slot 1", NOW - 60_000),)), NOW)
    assert (view.since_ms, view.troubles[0].since_ms) == (NOW - 60_000,) * 2


def test_a_missing_bus_is_missing_since_workers_noticed_it() -> None:
    missing = replace(ENRICH, bus="missing", bus_name="b", notices=(notice(NoticeKind.BLOCKED, "bus b", NOW - 60_000),))
    view = judge(missing, NOW)
    assert (view.since_ms, [trouble.since_ms for trouble in view.troubles]) == (NOW - 60_000, [NOW - 60_000])
    assert judge(replace(missing, notices=()), NOW).since_ms == 0


async def test_pauses_and_starts_are_known_without_them() -> None:
    assert (
        await heard(Said(Answer("a", reasons(("paused", "stage", "x"), ("starting", "slot 1", "x")))))
    ).notices == ()


async def test_who_cannot_be_asked_is_named_and_hides_nobody() -> None:
    found = await heard(
        Said(
            Answer("a", error="does not answer in time"), Answer("b", {"pipeline": []}),
            Answer("c", reasons(("away", "bus x", "503"))), Answer(OTHERS, error="Kafka does not say who they are"),
        )
    )  # fmt: skip
    assert found.unheard == (
        "a: does not answer in time", "b: its answer is none of this release",
        "workers: Kafka does not say who they are",
    )  # fmt: skip
    assert [one.kind for one in found.notices] == [NoticeKind.AWAY]


def test_a_refused_slot_blocks_the_stage_and_names_what_to_do() -> None:
    view = judge(replace(ENRICH, rate=5.0, notices=(notice(NoticeKind.BLOCKED, "slot 1"),)), NOW)
    assert (view.state, view.why) == (State.BLOCKED, "slot 1: cdc.dead does not exist")
    (trouble,) = view.troubles
    assert "(says a)" in trouble.what
    assert trouble.mend.startswith("cdc check")


def test_what_is_away_is_told_and_the_stage_runs() -> None:
    view = judge(replace(ENRICH, rate=5.0, notices=(notice(NoticeKind.AWAY, "slot 1"),)), NOW)
    assert view.state is State.RUNNING
    assert "by itself" in view.troubles[0].mend


def test_what_kafka_or_the_bus_tells_is_not_told_twice() -> None:
    stands = replace(ENRICH, stops=(STOP,), notices=(notice(NoticeKind.BLOCKED, "dead letters"),))
    lost = replace(ENRICH, gaps=(GAP,), notices=(notice(NoticeKind.BLOCKED, GAP.where),))
    missing = Figures(
        "publish",
        "Stable",
        1,
        0,
        bus="missing",
        bus_name="b",
        notices=(notice(NoticeKind.BLOCKED, "preflight of bus b"),),
    )
    assert [len(judge(one, NOW).troubles) for one in (stands, lost, missing)] == [1, 1, 1]


def rules(mark: str) -> dict[str, Any]:
    return {"stages": {stage: {"reasons": [], "catalogue": mark} for stage in ("bridge", "enrich")}}


async def test_workers_with_other_tables_than_each_other_are_told_once() -> None:
    found = await heard(Said(Answer("a", rules("old")), Answer("b", rules("new")), Answer("c", rules("new"))))
    (one,) = found.notices
    assert (one.stage, one.kind, one.what) == ("enrich", NoticeKind.DIFFERS, "tables.yaml")
    assert one.why.endswith(": old on a; new on b, c")
    view = judge(replace(ENRICH, rate=5.0, notices=(one,)), NOW)
    assert (view.state, view.troubles[0].see) == (State.RUNNING, "docs/status.md#other-tables")


async def test_a_worker_that_does_not_say_which_tables_it_has_is_no_difference() -> None:
    assert (await heard(Said(Answer("a", rules("new")), Answer("b", reasons()), Answer("c", rules(""))))).notices == ()
