"""What a hostile client gets of a worker's web server: nothing. Every route, every kind of request."""

import asyncio
import contextlib
import json
import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.contract.webbing import JSON, PROBES, READ_TOKEN, WRITE_TOKEN, Served, served, settings_of
from workers.web import gate, server
from workers.web.routes import Scope
from workers.web.server import ROUTES, listen
from workers.web.sessions import FAILURES
from workers.web.views import config

ALL_STAGES = ("bridge", "enrich", "publish")
READER, WRITER = {"Authorization": f"Bearer {READ_TOKEN}"}, {"Authorization": f"Bearer {WRITE_TOKEN}"}
DATA = re.compile(r'ready|cdc_|process_|restarts|changed|tables|"asked"|entries')


async def test_every_route_of_the_server_has_a_scope(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        root = web.server.application()
        registered = {route for route in root.router.routes() if route in web.server.gate.routes}
        assert registered == set(root.router.routes())
        assert len(registered) >= len(ROUTES) + len(PROBES) + 8


async def test_a_route_that_came_in_without_a_scope_is_not_answered(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path)) as web:
        # As if somebody had gone around `Gate.add`.
        [stages] = [route for route, known in web.server.gate.routes.items() if known.path == "/api/stages"]
        del web.server.gate.routes[stages]
        status, body, _ = await web.ask("GET", "/api/stages")
        assert (status, "this route has no scope" in body) == (403, True)


async def test_without_a_token_nothing_is_answered_but_the_files_of_the_page(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True), stages=ALL_STAGES) as web:
        paths = web.paths()
        assert len(paths) > 25
        opened = {(route.method, path) for route, path in paths if route.scope is Scope.OPEN}
        for _, path in paths:
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
                status, body, headers = await web.ask(method, path, JSON | {"Origin": web.url}, "{}")
                if (method, path) in opened:
                    assert status in (200, 400, 401, 404), (method, path)
                else:
                    assert status == 401, (method, path, status)
                assert "Access-Control-Allow-Origin" not in headers
                if path != "/page/":
                    assert not DATA.search(body), (method, path, body)


@pytest.mark.parametrize(
    "path", ["/nothing", "/nothing/at/all", "/enrich/../metrics", "/%2e%2e/metrics", "/page", "//"]
)
async def test_what_does_not_exist_is_told_only_to_those_who_may_look(tmp_path: Path, path: str) -> None:
    async with served(settings_of(tmp_path, tokens=True), stages=("enrich",)) as web:
        assert await web.status("GET", path) == 401
        status, _, _ = await web.ask("GET", path, READER)
        assert status in (200, 404)


async def test_a_wrong_token_opens_nothing(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        for told in (f"Bearer {'x' * 40}", "Bearer ", f"Basic {READ_TOKEN}", READ_TOKEN):
            status, body, _ = await web.ask("GET", "/api/stages", {"Authorization": told})
            assert (status, READ_TOKEN in body) == (401, False)


async def test_a_read_token_reads_everything_and_changes_nothing(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True), stages=ALL_STAGES) as web:
        for route, path in web.paths():
            status, _, _ = await web.ask(route.method, path, JSON | READER, "{}")
            if route.scope is Scope.READ:
                assert status in (200, 302, 404, 503), (path, status)
            elif route.scope is not Scope.OPEN:
                assert status == 403, (path, status)


async def test_faust_shows_its_pages_to_readers_with_keys_and_values_masked_and_no_others(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True), stages=("enrich",)) as web:
        assert "users" in (await web.ask("GET", "/enrich/tables/", READER))[1]
        for page in ("table/", "table/users/", "table/users/7/", "router/", "router/users/7/"):
            assert (await web.ask("GET", f"/enrich/{page}", READER))[0] == 404


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 200),
        ({"Origin": None}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"X-CDC-Request": None}, 403),
        ({"X-CDC-Request": "yes"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": None}, 415),
        ({"Authorization": None}, 401),
        ({"Authorization": f"Bearer {READ_TOKEN}"}, 403),
    ],
)
async def test_a_write_needs_all_that_no_foreign_page_can_send(
    tmp_path: Path, change: dict[str, str | None], status: int
) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        headers = JSON | WRITER | {"Origin": web.url} | change
        sent = {name: value for name, value in headers.items() if value is not None}
        if "Content-Type" not in sent:
            sent["Content-Type"] = ""
        assert (await web.ask("POST", "/api/change", sent, "{}"))[0] == status


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_no_method_but_post_reaches_a_write(tmp_path: Path, method: str) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        status, body, _ = await web.ask(method, "/api/change", JSON | WRITER | {"Origin": web.url}, "{}")
        assert status in (404, 405)
        assert "changed" not in body


async def test_no_write_of_the_server_is_open_to_another_site_or_to_a_reader(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        writes = [path for route, path in web.paths() if route.scope is Scope.WRITE]
        assert "/api/change" in writes
        for path in writes:
            for headers in (
                JSON | WRITER | {"Origin": "http://evil.example"},
                WRITER | {"Origin": web.url, "Content-Type": "application/json"},
                JSON | READER | {"Origin": web.url},
                JSON | {"Origin": web.url},
            ):
                assert (await web.ask("POST", path, headers, "{}"))[0] in (401, 403), path


async def test_on_loopback_a_local_user_reads_and_a_write_names_its_origin(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path)) as web:
        assert await web.status("GET", "/api/stages") == 200
        assert (await web.ask("POST", "/api/change", JSON | {"Origin": web.url}, "{}"))[0] == 200
        assert (await web.ask("POST", "/api/change", JSON, "{}"))[0] == 403


@pytest.mark.parametrize(("more", "status"), [({}, 403), ({"web_write": True}, 200)])
async def test_outside_of_local_loopback_without_tokens_only_looks_unless_told(
    tmp_path: Path, more: dict[str, bool], status: int
) -> None:
    async with served(settings_of(tmp_path, environment="PRD", **more)) as web:
        assert await web.status("GET", "/api/stages") == 200
        assert (await web.ask("POST", "/api/change", JSON | {"Origin": web.url}, "{}"))[0] == status


async def test_a_write_token_changes_nothing_where_writes_are_switched_off(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True, web_write=False)) as web:
        status, body, _ = await web.ask("POST", "/api/change", JSON | WRITER, "{}")
        assert (status, "CDC_WEB_WRITE" in body) == (403, True)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:6066", "127.0.0.1.evil.example", "[::2]:80", "a@b"])
async def test_a_name_that_somebody_points_at_loopback_is_not_served(tmp_path: Path, host: str) -> None:
    async with served(settings_of(tmp_path), stages=("enrich",)) as web:
        for route, path in web.paths():
            headers = JSON | {"Host": host, "Origin": f"http://{host}"}
            status, body, _ = await web.ask(route.method, path, headers, "{}")
            assert status in (400, 421), (path, status)
            assert not DATA.search(body)


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:6066", "worker.cdc:6066"])
async def test_loopback_and_the_advertised_name_are_served(tmp_path: Path, host: str) -> None:
    async with served(settings_of(tmp_path, web_advertise="http://worker.cdc:6066")) as web:
        assert await web.status("GET", "/api/stages", Host=host) == 200


async def test_another_site_may_link_to_the_page_and_fetch_nothing(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path)) as web:
        assert await web.status("GET", "/api/stages", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors") == 403
        assert await web.status("GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate") == 200


async def test_a_token_is_exchanged_for_a_cookie_that_no_script_reads_and_no_other_site_sends(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        own = JSON | {"Origin": web.url}
        status, body, headers = await web.ask("POST", "/api/session", own, json.dumps({"token": WRITE_TOKEN}))
        assert (status, WRITE_TOKEN in body + str(headers)) == (200, False)
        cookie = headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        session = {"Cookie": cookie.partition(";")[0]}
        assert (await web.ask("GET", "/api/stages", session))[0] == 200
        assert json.loads((await web.ask("GET", "/api/session", session))[1])["write"] is True
        assert (await web.ask("POST", "/api/change", JSON | session, "{}"))[0] == 403  # a cookie needs the origin
        assert (await web.ask("POST", "/api/change", own | session, "{}"))[0] == 200
        assert (await web.ask("POST", "/api/session/end", own | session, "{}"))[0] == 200
        assert (await web.ask("GET", "/api/stages", session))[0] == 401


async def test_nobody_signs_in_from_another_site(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        told = json.dumps({"token": WRITE_TOKEN})
        for headers in (JSON, JSON | {"Origin": "http://evil.example"}, {"Origin": web.url}):
            assert (await web.ask("POST", "/api/session", headers, told))[0] in (403, 415)


async def test_after_ten_wrong_tokens_others_of_that_address_wait_and_a_right_one_does_not(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        _, _, signed_in = await web.ask(
            "POST", "/api/session", JSON | {"Origin": web.url}, json.dumps({"token": READ_TOKEN})
        )
        wrong = {"Authorization": f"Bearer {'x' * 40}"}
        for _ in range(FAILURES):
            assert await web.status("GET", "/metrics", **wrong) == 401
        status, _, headers = await web.ask("GET", "/metrics", wrong)
        assert status == 429
        assert 0 < int(headers["Retry-After"]) <= 60
        assert (await web.ask("GET", "/metrics", READER))[0] == 200
        assert (await web.ask("GET", "/metrics", wrong))[0] == 429
        cookie = {"Cookie": signed_in["Set-Cookie"].partition(";")[0]}
        assert (await web.ask("GET", "/metrics", cookie))[0] == 200


async def test_a_token_that_is_exchanged_ends_with_its_sessions_while_the_server_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LOOK_SECONDS", 0.05)
    settings, new = settings_of(tmp_path, tokens=True), "9876543210-9876543210-9876543210"
    file = settings.web_token_file
    assert file is not None
    async with served(settings) as web:
        told = json.dumps({"token": READ_TOKEN})
        _, _, signed_in = await web.ask("POST", "/api/session", JSON | {"Origin": web.url}, told)
        cookie = {"Cookie": signed_in["Set-Cookie"].partition(";")[0]}
        assert (await web.ask("GET", "/metrics", cookie))[0] == 200
        caplog.set_level(logging.INFO, "cdc.audit")
        next_one = file.with_name("next")
        next_one.write_text(f"read {new}\nread {WRITE_TOKEN} writer\n")
        next_one.chmod(0o600)
        next_one.replace(file)
        async with asyncio.timeout(30):
            while not web.server.callers.tokens.find(new):
                await asyncio.sleep(0.05)
        assert await web.status("GET", "/metrics", Authorization=f"Bearer {new}") == 200
        assert (await web.ask("GET", "/metrics", READER))[0] == 401
        assert (await web.ask("GET", "/metrics", cookie))[0] == 401
        assert (await web.ask("POST", "/api/change", JSON | WRITER, "{}"))[0] == 403  # it may only read now
    assert "the token file was read again: tokens=2 new=1 gone=1" in caplog.text
    assert new not in caplog.text


async def test_every_answer_carries_the_headers_that_hold_a_browser_back(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True), stages=("enrich",)) as web:
        for route, path in web.paths():
            for caller in ({}, READER):
                _, _, headers = await web.ask(route.method, path, JSON | caller, "{}")
                policy = headers["Content-Security-Policy"]
                assert "default-src 'self'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert headers["X-Content-Type-Options"] == "nosniff"
                assert headers["Referrer-Policy"] == "no-referrer"
                assert "aiohttp" not in headers["Server"]
                if route.scope is not Scope.OPEN:
                    assert headers["Cache-Control"] == "no-store"


async def test_a_write_leaves_one_line_that_says_who_and_what_and_no_value_of_a_row(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cdc.audit")
    async with served(settings_of(tmp_path, tokens=True)) as web:
        body = json.dumps({"stage": "enrich", "key": "jane@acme.example", "jane@acme.example": 1})
        await web.ask("POST", "/api/change", JSON | WRITER, body)
        await web.ask("POST", "/api/change", JSON | READER, body)
        await web.ask("POST", "/api/session", JSON | {"Origin": web.url}, json.dumps({"token": WRITE_TOKEN}))
        await web.status("GET", "/", Authorization="Bearer jane")
    done, refused, signed_in, wrong = [record.getMessage() for record in caplog.records if record.name == "cdc.audit"]
    assert done == (
        'POST /api/change by=token who="writer" from=127.0.0.1 status=200 sent={"stage": "enrich"} others=2'
    )
    assert 'who="reader"' in refused
    assert "status=403" in refused
    assert (signed_in, wrong) == ('signed in: who="writer" from=127.0.0.1', "a wrong token from 127.0.0.1")
    assert "jane" not in caplog.text
    assert WRITE_TOKEN not in caplog.text


async def test_who_makes_a_worker_examine_what_it_depends_on_stands_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "cdc.audit")
    monkeypatch.setattr(config, "_examinations", config.Examinations())
    monkeypatch.setattr(config, "examine", lambda *, seconds: SimpleNamespace(document=dict))
    async with served(settings_of(tmp_path, tokens=True), answering=config.ROUTES) as web:
        for _ in range(2):
            assert (await web.ask("POST", "/api/check", JSON | READER, "{}"))[0] == 200
    assert [record.getMessage() for record in caplog.records if record.name == "cdc.audit"] == [
        'POST /api/check examines: by=token who="reader" from=127.0.0.1'
    ]


@pytest.mark.parametrize("body", ["", "[]", "nonsense", '"text"'])
async def test_a_write_without_a_json_object_is_refused(tmp_path: Path, body: str) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        assert (await web.ask("POST", "/api/change", JSON | WRITER, body))[0] == 400


async def test_a_browser_at_the_root_goes_to_the_page_and_others_get_the_state(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        for caller in ({}, READER):
            status, _, headers = await web.ask("GET", "/", caller | {"Accept": "text/html,*/*"})
            assert (status, headers["Location"]) == (303, "/page/")
        assert "stages" in (await web.ask("GET", "/", READER))[1]


PAGES_OF_ALL_VIEWS = (
    "pipeline", "sources", "tables", "tables/find", "tables/explain", "tables/reveal", "dead-letters",
    "dead-letters/letter", "dead-letters/plan", "dead-letters/redrive", "trace", "peek", "peek/past", "logs", "config",
    "check", "health", "pauses", "stages",
)  # fmt: skip


def test_the_views_of_all_pieces_stand_behind_the_gate_and_what_changes_something_is_a_write() -> None:
    known = {route.path for route in ROUTES}
    assert {f"/api/{path}" for path in PAGES_OF_ALL_VIEWS} <= known
    writes = {route.path for route in ROUTES if route.scope is Scope.WRITE}
    assert writes == {"/api/tables/reveal", "/api/dead-letters/plan", "/api/dead-letters/redrive", "/api/pauses"}
    assert not [route.path for route in ROUTES if route.scope is Scope.OPEN]
    assert {route.path for route in ROUTES if route.path.startswith("/internal/")} == {
        route.path for route in ROUTES if route.scope is Scope.WORKER
    }
    assert not [route.path for route in ROUTES if {"key", "keys", "why"} & set(route.audited)]


NOT_UTF_8 = b"\xff\xfe"


@pytest.mark.parametrize("name", [b"Authorization: Bearer ", b"X-CDC-Signature: ", b"Cookie: cdc_session_PORT="])
async def test_credentials_that_are_no_text_are_wrong_ones(tmp_path: Path, name: bytes) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        port = str(web.server.port).encode()
        told = name.replace(b"PORT", port) + NOT_UTF_8
        answer = await asked_raw(web, b"GET /api/stages HTTP/1.1\r\nHost: a\r\n" + told + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("body", ["[" * 50_000, '{"token": "\\ud800"}', '{"token": 1e999}', "9" * 5_000])
async def test_a_body_made_to_break_the_reader_is_a_wrong_one(tmp_path: Path, body: str) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        own = JSON | {"Origin": web.url}
        assert (await web.ask("POST", "/api/session", own, body))[0] in (400, 401)
        assert (await web.ask("POST", "/api/change", JSON | WRITER, body))[0] in (200, 400)


@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-7", "nonsense"])
async def test_a_body_comes_in_utf_8_and_in_no_codec_that_takes_long(tmp_path: Path, charset: str) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        headers = JSON | {"Origin": web.url, "Content-Type": f"application/json; charset={charset}"}
        assert (await web.ask("POST", "/api/session", headers, '{"token": "x"}'))[0] == 415
        headers["Content-Type"] = "application/json; charset=UTF-8"
        assert (await web.ask("POST", "/api/session", headers, '{"token": "x"}'))[0] == 401


async def test_a_write_is_noted_however_its_parameters_are_nested(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cdc.audit")
    async with served(settings_of(tmp_path, tokens=True)) as web:
        nested = f'{{"stage": {"[" * 800}"jane"{"]" * 800}}}'
        assert (await web.ask("POST", "/api/change", JSON | WRITER, nested))[0] == 200
        assert (await web.ask("POST", "/api/change", JSON | WRITER, '{"stage": [2.5, NaN]}'))[0] == 200
    deep, plain = [record.getMessage() for record in caplog.records if record.name == "cdc.audit"]
    assert 'status=200 sent={"stage": ["\\u2026"]}' in deep
    assert 'sent={"stage": [2.5, "\\u2026"]}' in plain


async def test_a_body_that_is_too_large_or_too_slow_is_refused_and_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "cdc.audit")
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.05)
    async with served(settings_of(tmp_path, tokens=True)) as web:
        head = (
            f"POST /api/change HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-CDC-Request: 1\r\n"
            f"Authorization: Bearer {WRITE_TOKEN}\r\nContent-Length: "
        ).encode()
        slow = await asked_raw(web, head + b"9\r\n\r\n{")
        large = await asked_raw(web, head + b"%d\r\n\r\n" % (gate.MAX_BODY + 1) + b"x" * (gate.MAX_BODY + 1))
    assert (slow[:12], large[:12]) == (b"HTTP/1.1 408", b"HTTP/1.1 413")
    noted = [record.getMessage() for record in caplog.records if record.name == "cdc.audit"]
    assert ["status=408" in noted[0], "status=413" in noted[1]] == [True, True]


async def test_a_token_with_a_wrong_character_behind_it_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        told = f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {READ_TOKEN}\x00\r\n\r\n".encode()
        assert b" 400 " in await asked_raw(web, told)
    assert "BadHttpMessage" in caplog.text or "InvalidHeader" in caplog.text
    assert READ_TOKEN not in caplog.text


async def test_wrong_signatures_of_others_do_not_keep_a_worker_from_asking(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, tokens=True)) as web:
        for _ in range(FAILURES):
            await web.status("GET", "/metrics", Authorization=f"Bearer {'x' * 40}")
        assert (await web.ask("GET", "/internal/echo", {"X-CDC-Signature": "0" * 64}))[0] == 429
        assert (await web.ask("GET", "/internal/echo", web.signed("/internal/echo")))[0] == 200


async def test_who_opens_connections_and_says_nothing_takes_only_so_many_and_not_for_long(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path)) as web:
        door = web.server.gate.door
        assert door is not None
        door.most, door.head_seconds = 3, 0.3
        silent = [await asyncio.open_connection("127.0.0.1", web.server.port) for _ in range(6)]
        for reader, writer in silent:
            writer.write(b"GET / HTTP/1.1\r\nX-Half")
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 30) == b""
            writer.close()
        door.head_seconds = 60.0
        assert await web.status("GET", "/api/stages") == 200


async def asked_raw(web: Served, sent: bytes) -> bytes:
    """The first bytes of the answer to what no client would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.server.port)
    writer.write(sent)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 30)
    writer.close()
    return answer


def test_workers_that_start_together_take_different_ports() -> None:
    first, second = listen(None), listen(None)
    try:
        assert first.getsockname()[1] < second.getsockname()[1]
    finally:
        first.close()
        second.close()
