"""The health port: what it tells, and that it tells it while the event loop stands."""

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from sandbox.ports import free_ports
from tests.contract.webbing import idle_stages, settings_of
from workers.engine.progress import in_hand
from workers.failures import ConfigurationError
from workers.probes import liveness, service
from workers.probes.service import Probes

LOOPBACK = "127.0.0.1"
TP_ = TP("raw", 0)


def fetch(url: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def asked(url: str, method: str = "GET") -> tuple[int, str]:
    return await asyncio.to_thread(fetch, url, method)


async def test_a_worker_that_starts_lives_and_is_not_ready(tmp_path: Path) -> None:
    [port] = free_ports(1)
    probes = Probes(idle_stages(settings_of(tmp_path), "enrich"), LOOPBACK, port)
    await probes.start()
    try:
        url = f"http://{LOOPBACK}:{port}"
        assert await asked(f"{url}/livez") == (200, '{"live": true, "reasons": []}\n')
        status, body = await asked(f"{url}/readyz")
        assert status == 503
        assert json.loads(body) == {"ready": False, "stages": {"enrich": {"ready": False, "reasons": ["starts"]}}}
        status, body = await asked(f"{url}/metrics")
        assert (status, 'cdc_stage_ready{stage="enrich"} 0.0' in body) == (200, True)
        for path in ("/", "/api/stages", "/page/", "/enrich/tables/", "/livez/x"):
            assert (await asked(url + path))[0] == 404
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert (await asked(f"{url}/livez", method))[0] == 501
    finally:
        await probes.stop()


async def test_an_event_loop_that_stands_is_seen_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "BLOCKED_SECONDS", 0.3)
    monkeypatch.setattr(service, "BLOCKED_SECONDS", 0.3)
    monkeypatch.setattr(service, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(service, "SCRAPE_SECONDS", 0.01)
    [port] = free_ports(1)
    probes = Probes(idle_stages(settings_of(tmp_path), "publish"), LOOPBACK, port)
    await probes.start()
    try:
        url = f"http://{LOOPBACK}:{port}"
        # Synchronous: nothing else runs in this event loop, and the thread answers all the same.
        answers = (fetch(f"{url}/livez") for _ in range(100_000))
        body = next(body for status, body in answers if status == 503)
        assert "the event loop has not run for" in json.loads(body)["reasons"][0]
        assert "the event loop" in json.loads(fetch(f"{url}/readyz")[1])["reasons"][0]
        assert fetch(f"{url}/metrics")[0] == 503
        monkeypatch.setattr(liveness, "BLOCKED_SECONDS", 30.0)
        while probes.life.reasons(probes.life.beat):
            await asyncio.sleep(0.01)
        assert (await asked(f"{url}/livez"))[0] == 200
    finally:
        await probes.stop()


def test_a_busy_health_port_is_a_configuration_error(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken, pytest.raises(ConfigurationError, match="CDC_HEALTH_PORT"):
        Probes([], LOOPBACK, taken.getsockname()[1])


def app_with_work(**held_up: Any) -> Any:
    """An app that has a batch in hand, as far as `in_hand` looks at it; `held_up` is how it differs."""
    slot = SimpleNamespace(index=0, usable=True, refused="", position={TP_: 7}, bodies=[])
    slots = SimpleNamespace(open=True, owned={0: slot})
    consumer = SimpleNamespace(held=set(), inflight={TP_: deque(["batch"])}, open_gaps={})
    brake: Any = SimpleNamespace(held_slots=())
    brake.touches = lambda slot: slot in brake.held_slots
    app = SimpleNamespace(
        rebalancing=False, blockers={}, outages={}, slots=slots, _consumer=consumer, brake=brake, in_hand=[],
    )  # fmt: skip
    for name, value in held_up.items():
        [part] = [part for part in (slot, slots, consumer, brake, app) if hasattr(part, name)]
        setattr(part, name, value)
    return app


@pytest.mark.parametrize(
    "held_up",
    [
        {"rebalancing": True}, {"open": False}, {"usable": False}, {"refused": "no rights"}, {"held": {TP_}},
        {"open_gaps": {TP_: "a gap"}}, {"blockers": {"dead letters": "too many"}}, {"outages": {"bus": "away"}},
        {"held_slots": (0,)},
    ],
)  # fmt: skip
def test_work_that_others_hold_up_is_no_sign_of_death(held_up: dict[str, Any]) -> None:
    assert in_hand(app_with_work()) == {"raw/0": 7}
    assert in_hand(app_with_work(**held_up)) == {}
