"""Log lines of all workers as one list, and what is said of those who do not answer."""

import asyncio
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from yarl import URL

from tests.unit.test_log_lines import line
from workers.cli.logs import complaints, refuse_silence, text_of
from workers.cluster.logs import InvalidLogQuery, LogQuery, logs_of, told
from workers.cluster.peers import OTHERS, Answer
from workers.failures import NotFoundError, UnreachableError
from workers.logs.ring import LogRing
from workers.web.views import logs as logs_view

QUERY = LogQuery()


class Workers:
    """Workers with rings; one that is None is away."""

    def __init__(self, **rings: LogRing | None) -> None:
        self.rings = rings

    async def ask(self, path: str, query: Mapping[str, str] | None = None) -> tuple[Answer, ...]:
        asked = LogQuery.of(query or {})
        return tuple(
            Answer(name, error="does not answer in time")
            if ring is None
            else Answer(name, body=told(ring.read(asked.filter, asked.cursors.get(name, ""), asked.limit)))
            for name, ring in self.rings.items()
        )


def ring(worker: str, *numbers: int) -> LogRing:
    made = LogRing(worker)
    for number in numbers:
        made.add(line(number, worker=worker))
    return made


async def test_lines_of_all_workers_stand_in_the_order_of_their_times() -> None:
    found = await logs_of(Workers(a=ring("a", 1, 4), b=ring("b", 2, 3)), QUERY)
    assert [(one.worker, one.message) for one in found.lines] == [
        ("a", "line 1"), ("b", "line 2"), ("b", "line 3"), ("a", "line 4"),
    ]  # fmt: skip


async def test_a_worker_that_does_not_answer_is_named_and_hides_nobody() -> None:
    found = await logs_of(Workers(a=ring("a", 1), b=None), QUERY)
    assert (len(found.lines), dict(found.unreachable)) == (1, {"b": "does not answer in time"})
    assert list(complaints(found, {}, following=False)) == ["cdc logs: b: does not answer in time"]
    assert list(complaints(found, found.unreachable, following=True)) == []


async def test_following_goes_on_behind_what_was_shown_worker_by_worker() -> None:
    workers = Workers(a=ring("a", 1), b=ring("b", 2))
    first = await logs_of(workers, QUERY)
    workers.rings["b"].add(line(9, worker="b"))  # type: ignore[union-attr]
    second = await logs_of(workers, LogQuery(cursors=first.cursors))
    assert [one.message for one in second.lines] == ["line 9"]
    assert (await logs_of(workers, LogQuery(cursors=second.cursors))).lines == ()


async def test_the_newest_lines_remain_and_the_rest_is_counted() -> None:
    found = await logs_of(Workers(a=ring("a", 1, 3, 5), b=ring("b", 2, 4, 6)), LogQuery(limit=2))
    assert [one.message for one in found.lines] == ["line 5", "line 6"]
    assert sum(found.missed.values()) == 4


async def test_one_worker_can_be_asked_for_and_one_that_is_not_there_is_told_with_those_that_are() -> None:
    workers = Workers(a=ring("a", 1), b=None)
    found = await logs_of(workers, LogQuery(worker="a"))
    assert (found.workers, dict(found.unreachable)) == (("a",), {})
    nobody = LogQuery(worker="c")
    with pytest.raises(NotFoundError, match="no worker is called c") as refused:
        refuse_silence(await logs_of(workers, nobody), nobody)
    assert refused.value.hint == "there are: a, b"


async def test_nobody_who_answers_is_an_error() -> None:
    with pytest.raises(NotFoundError, match="no worker answers"):
        refuse_silence(await logs_of(Workers(b=None), QUERY), QUERY)


@pytest.mark.parametrize("query", [QUERY, LogQuery(worker="a")])
async def test_kafka_that_does_not_say_who_the_workers_are_is_no_missing_worker(query: LogQuery) -> None:
    class Unseen:
        async def ask(self, path: str, query: Mapping[str, str] | None = None) -> tuple[Answer, ...]:
            return (Answer(OTHERS, error="Kafka does not say who the workers are"),)

    with pytest.raises(UnreachableError):
        refuse_silence(await logs_of(Unseen(), query), query)


async def test_an_answer_of_another_release_is_no_answer() -> None:
    class Odd:
        async def ask(self, path: str, query: Mapping[str, str] | None = None) -> tuple[Answer, ...]:
            return (Answer("a", body={"logs": []}),)

    found = await logs_of(Odd(), QUERY)
    assert dict(found.unreachable) == {"a": "its answer is none of this release"}


def test_a_query_travels_in_a_url() -> None:
    query = LogQuery("warning", "enrich", "a", "2026-01-15T10:31:00.000Z", "über", 7, {"a": "x.1"})
    assert LogQuery.of(query.to_query()) == query
    assert LogQuery.of({}) == LogQuery()


@pytest.mark.parametrize("query", [{"level": "loud"}, {"limit": "0"}, {"limit": "x"}, {"cursors": "[1]"}])
def test_a_query_that_means_nothing_is_refused(query: dict[str, Any]) -> None:
    with pytest.raises(InvalidLogQuery, match=next(iter(query))):
        LogQuery.of(query)


def test_a_line_names_its_worker_only_if_there_are_several() -> None:
    one = line(1, worker="a", error="Traceback\n  boom", fields={"slot": 7}, trace="5f")
    assert text_of(one, several=True).startswith(f"{one.time} a INFO    cdc.x: line 1 slot=7 trace=5f\n    Traceback")
    assert " a " not in text_of(one, several=False).splitlines()[0]


def test_cursors_of_two_workers_of_one_name_do_not_mix() -> None:
    before, after = ring("a", 1, 2), LogRing("later")
    after.add(line(3, worker="a"))
    first = asyncio.run(logs_of(Workers(a=before), QUERY))
    assert len(asyncio.run(logs_of(Workers(a=after), LogQuery(cursors=first.cursors))).lines) == 1


async def test_a_worker_tells_its_own_lines_to_those_who_ask_it_and_none_to_those_who_want_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs_view, "ring_of_process", lambda: ring("a", 1, 2))
    desk: Any = SimpleNamespace(cluster=SimpleNamespace(here="a"))

    async def asked(query: LogQuery) -> list[str]:
        request = make_mocked_request("GET", str(URL("/internal/logs").with_query(query.to_query())))
        answer = await logs_view.here(desk, request)
        return [one["message"] for one in json.loads(answer.body or b"")["lines"]]  # type: ignore[arg-type]

    assert await asked(LogQuery(worker="a", limit=1)) == ["line 2"]
    assert await asked(LogQuery(grep="LINE 1")) == ["line 1"]
    assert await asked(LogQuery(worker="b")) == []


async def test_a_question_that_means_nothing_is_answered_400() -> None:
    with pytest.raises(web.HTTPBadRequest):
        await logs_view.here(cast("Any", None), make_mocked_request("GET", "/internal/logs?level=loud"))
