"""What `/api/pauses` takes, before anything is written."""

from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from workers.settings.worker import Settings, load_settings
from workers.web.callers import Caller
from workers.web.gate import CALLER
from workers.web.routes import Desk, Scope
from workers.web.views.pauses import ROUTES

SETTINGS = {"KINESIS_STREAM_NAME": "s", "EVENT_BUS_NAME": "b", "AWS_REGION": "eu-west-1", "ENVIRONMENT": "LOCAL"}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.chdir(tmp_path)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    return load_settings()


async def ask(settings: Settings, body: Any) -> tuple[int, dict[str, Any]]:
    (post,) = (route for route in ROUTES if route.method == "POST")
    desk = Desk(settings, {}, cast("Any", None))  # it asks nobody

    async def handle(request: web.Request) -> web.StreamResponse:
        request[CALLER] = Caller("ops", "token")
        return await post.handler(desk, request)

    app = web.Application()
    app.router.add_post(post.path, handle)
    async with TestClient(TestServer(app)) as client:
        sent = {"data": body} if isinstance(body, bytes) else {"json": body}
        answer = await client.post(post.path, **sent)
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        ([], 400),
        ({"action": "pause", "stage": "enrich", "why": "x", "wy": "y"}, 400),
        ({"action": "pause", "stage": 7, "why": "x"}, 400),
        ({"action": "pause", "stage": "enrich", "partition": "3", "why": "x"}, 400),
        ({"action": "pause", "stage": "enrich", "partition": True, "why": "x"}, 400),
        ({"action": "pause", "stage": "enrich", "table": "users", "partition": 3, "why": "x"}, 400),
        ({"action": "pause", "stage": "elsewhere", "why": "x"}, 404),
        ({"action": "pause", "stage": "enrich", "table": "nothing", "why": "x"}, 404),
        ({"action": "pause", "stage": "enrich", "partition": 99_999, "why": "x"}, 404),
        ({"action": "pause", "stage": "bridge", "table": "users", "why": "x"}, 409),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_reason(settings: Settings, body: Any, status: int) -> None:
    found = await ask(settings, body)
    assert found[0] == status
    assert found[1]["error"]


async def test_a_kafka_that_is_away_is_told_apart(settings: Settings) -> None:
    status, answer = await ask(settings, {"action": "pause", "stage": "enrich", "why": "x"})
    assert (status, "Kafka" in answer["error"]) == (503, True)


def test_whoever_may_only_look_cannot_pause() -> None:
    assert {(route.method, route.scope) for route in ROUTES} == {("GET", Scope.READ), ("POST", Scope.WRITE)}
