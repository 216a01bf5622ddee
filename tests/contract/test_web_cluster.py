"""Workers ask each other over HTTP: signed calls, signed answers, and whoever else listens on a port."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web as http

from sandbox.ports import free_ports
from tests.contract.webbing import JSON, READ_TOKEN, Served, served, settings_of
from workers.cluster.directory import Sight
from workers.cluster.peers import Answer, Peer
from workers.cluster.signature import SIGNATURE
from workers.web.views import farewell


@dataclass
class Known:
    """A directory of the workers that a test names."""

    peers: tuple[Peer, ...] = ()
    trouble: str | None = None

    async def look(self) -> Sight:
        return Sight(self.peers, self.trouble)


@contextlib.asynccontextmanager
async def two(tmp_path: Path, **second: Any) -> AsyncIterator[tuple[Served, Served, Known]]:
    """Two workers; the first one knows the second."""
    known = Known()
    async with (
        served(settings_of(tmp_path), directory=lambda _me: known) as one,
        served(settings_of(tmp_path, **second), name="two", answering=farewell.ROUTES) as other,
    ):
        known.peers = (Peer("two", other.url, ("enrich",)),)
        yield one, other, known


async def answers(one: Served, path: str = "/internal/echo", **query: str) -> dict[str, Answer]:
    return {answer.worker: answer for answer in await one.server.desk.cluster.ask(path, query)}


async def test_every_worker_answers_for_itself(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, _, _):
        found = await answers(one, what="a b&c=ü/%?")
        assert {name: answer.body["asked"] for name, answer in found.items()} == dict.fromkeys(
            ("one", "two"), "a b&c=ü/%?"
        )


async def test_a_worker_that_wants_tokens_is_asked_without_one(tmp_path: Path) -> None:
    (tmp_path / "guarded").mkdir()
    file = settings_of(tmp_path / "guarded", tokens=True).web_token_file
    async with two(tmp_path, web_token_file=file) as (one, other, _):
        assert await other.status("GET", "/api/stages") == 401
        assert (await answers(one))["two"].error is None


async def test_a_worker_with_another_key_is_told_from_one_that_is_away(tmp_path: Path) -> None:
    async with two(tmp_path, cluster_key="c" * 32) as (one, _, _):
        assert "another cluster key" in ((await answers(one))["two"].error or "")


async def test_a_user_cannot_ask_what_workers_ask_each_other(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as one:
        for headers in ({}, {"Authorization": f"Bearer {READ_TOKEN}"}, {SIGNATURE: "0" * 64}):
            status, body, _ = await one.ask("GET", "/internal/echo", headers)
            assert status in (401, 403)
            assert "asked" not in body


async def test_a_call_is_answered_once_and_opens_nothing_else(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as one:
        headers = one.signed("/internal/echo")
        assert (await one.ask("GET", "/internal/echo", headers))[0] == 200
        status, body, _ = await one.ask("GET", "/internal/echo", headers)
        assert (status, json.loads(body)["refusal"]) == (401, "repeated")
        for path in ("/api/stages", "/metrics", "/"):
            assert (await one.ask("GET", path, one.signed(path, nonce=path.ljust(32, "n"))))[0] == 403
        signed = one.signed("/api/change", nonce="w" * 32)
        assert (await one.ask("POST", "/api/change", JSON | signed | {"Origin": one.url}, "{}"))[0] == 405


async def test_the_answer_of_whoever_else_listens_there_is_not_believed(tmp_path: Path) -> None:
    lies = iter(['{"asked": "a lie"}', "[" * 200_000])

    async def lie(_request: http.Request) -> http.Response:
        return http.Response(text=next(lies), headers={SIGNATURE: "0" * 64})

    app = http.Application()
    app.router.add_get("/{path:.*}", lie)
    runner, [port] = http.AppRunner(app), free_ports(1)
    await runner.setup()
    await http.TCPSite(runner, "127.0.0.1", port).start()
    known = Known((Peer("two", f"http://127.0.0.1:{port}"),))
    try:
        async with served(settings_of(tmp_path), directory=lambda _me: known) as one:
            for _ in range(2):
                found = (await answers(one))["two"]
                assert found.body is None
                assert "CDC_WEB_BIND" in (found.error or "")
    finally:
        await runner.cleanup()


async def test_a_worker_on_loopback_of_another_machine_is_not_taken_for_the_one_on_this_one(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other, known):
        known.peers = (Peer("far", other.url), Peer("gone", "http://127.0.0.1:9"))
        found = await answers(one)
        assert found["far"].error == "another worker answers at its address"
        assert "CDC_WEB_BIND" in (found["gone"].error or "")


async def test_without_a_key_only_this_worker_answers_and_the_others_say_which_setting_is_missing(
    tmp_path: Path,
) -> None:
    known = Known((Peer("two", "http://127.0.0.1:9"),))
    settings = settings_of(tmp_path, redaction_key=None)
    async with served(settings, directory=lambda _me: known) as one:
        found = await answers(one)
        assert found["one"].error is None
        assert "CDC_CLUSTER_KEY" in (found["two"].error or "")


async def test_what_kafka_does_not_say_is_said(tmp_path: Path) -> None:
    known = Known((), "Kafka does not say who the workers are (KafkaConnectionError)")
    async with served(settings_of(tmp_path), directory=lambda _me: known) as one:
        found = await answers(one)
        assert found["one"].error is None
        assert found["other workers"].error == known.trouble


async def test_a_worker_that_hangs_costs_its_own_answer_only(tmp_path: Path) -> None:
    async def hang(*_connection: Any) -> None:
        """Holds both ends of it: one that nobody holds is closed."""
        await asyncio.sleep(3_600)

    hanging = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = hanging.sockets[0].getsockname()[1]
    known = Known((Peer("two", f"http://127.0.0.1:{port}"),))
    try:
        async with served(settings_of(tmp_path), directory=lambda _me: known) as one:
            found = {a.worker: a for a in await one.server.desk.cluster.ask("/internal/echo", seconds=1.5)}
            assert found["two"].error == "does not answer in time"
            assert found["one"].error is None
    finally:
        hanging.close()


async def test_a_view_that_an_older_worker_lacks_is_an_error_of_that_worker(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, _, _):
        found = await answers(one, "/internal/new")
        assert "404" in (found["two"].error or "")
        assert "another version" in (found["two"].error or "")


@pytest.mark.parametrize("path", ["/api/stages"])
async def test_the_page_sees_all_workers_from_any_of_them(tmp_path: Path, path: str) -> None:
    async with two(tmp_path) as (one, _, _):
        document = json.loads((await one.ask("GET", path))[1])
        assert [(w["name"], w["error"]) for w in document["workers"]] == [("one", None), ("two", None)]


def figures(served: Served) -> dict[str, float]:
    """What the worker's metric says of others that have ended, by name."""
    left = "worker_left_timestamp_seconds"
    return {
        sample.labels[0]: cast("float", sample.value)
        for sample in served.server.desk.farewells.measure()
        if sample.metric.name == left
    }


async def test_a_worker_that_ends_tells_the_others_and_they_say_since_when(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other, _):
        before = time.time()
        await one.server.desk.farewells.say()
        assert figures(other).keys() == {"one"}
        assert before <= figures(other)["one"] <= time.time()
        assert figures(one) == {}


async def test_nobody_else_can_say_that_a_worker_ends(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True), answering=farewell.ROUTES) as one:
        for headers in ({}, {"Authorization": f"Bearer {READ_TOKEN}"}, {SIGNATURE: "0" * 64}):
            status, _, _ = await one.ask("GET", "/internal/farewell?worker=two", headers)
            assert status in (401, 403)
        assert figures(one) == {}


async def test_a_worker_ends_although_another_one_does_not_listen(tmp_path: Path) -> None:
    known = Known((Peer("gone", "http://127.0.0.1:1", ("enrich",)),))
    async with served(settings_of(tmp_path), directory=lambda _me: known) as one:
        await one.server.desk.farewells.say()
