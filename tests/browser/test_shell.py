"""What is the same on all views: keys, updates, colours, and that data stays text whatever it says."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.waiting import until

Open = Callable[..., Any]

HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>"\'&{{7*7}} javascript:window.owned=1'


def stage(name: str, **more: Any) -> dict[str, Any]:
    """A stage as `/api/pipeline` has it."""
    return {
        "name": name, "standing": "running", "reasons": [], "more_reasons": 0,
        "owners": [{"worker": "w", "slots": [0], "standing": "running", "restarts": 0}], "slots": 1, "unowned": [],
        "records_behind": 0, "seconds_behind": 0.0, "partitions": [],
        "rates": {"in": 0.0, "out": 0.0, "drop": 0.0, "dead_per_minute": 0}, "taken": 0, "outcomes": {}, "aborted": 0,
        "fenced": 0, "tables": {}, "buses": [], "shards": {},
    } | more  # fmt: skip


def pipeline(*stages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """`/api/pipeline`."""
    return {
        "at": 1_768_473_060_000, "here": "w", "workers": [{"name": "w", "error": None, "started": 1_768_473_000_000}],
        "topics": {"raw": ["cdc.raw.core"], "events": "cdc.events", "dead": "cdc.dead"},
        "stages": list(stages) or [stage("bridge"), stage("enrich"), stage("publish")],
    } | more  # fmt: skip


def hostile(found: Any) -> Any:
    """The same with every text, names included where they are data, replaced by markup that would run."""
    match found:
        case dict():
            return {key: hostile(value) for key, value in found.items()}
        case list():
            return [hostile(value) for value in found]
        case str():
            return f"{found}{HOSTILE}"
        case _:
            return found


def test_names_that_are_markup_stay_text(opened: Open, complaints: list[str], address: str) -> None:
    root = address.removesuffix("/page/")
    page = opened("pipeline")
    answers = {path: page.request.get(root + path).json() for path in ("/api/pipeline", "/api/sources", "/api/config")}
    told = stage("enrich", standing="blocked", reasons=[
        {"workers": [HOSTILE], "kind": "blocked", "what": HOSTILE, "why": HOSTILE}], tables={HOSTILE: 1},
        outcomes={HOSTILE: 2}, partitions=[{"topic": HOSTILE, "partition": 0, "records": 1, "seconds": 1.0}],
        buses=[{"worker": HOSTILE, "name": HOSTILE, "circuit": HOSTILE, "trouble": HOSTILE, "in_flight": 0,
                "in_flight_limit": 1, "throttles": 0}])  # fmt: skip
    answers["/api/pipeline"] = pipeline(stage("bridge"), told, stage("publish"), here=HOSTILE,
                                        workers=[{"name": HOSTILE, "error": HOSTILE}])  # fmt: skip
    for view, path in (("sources", "/api/sources"), ("config", "/api/config")):
        shown = opened(view, {path: hostile(answers[path])})
        shown.locator("#view > section").first.wait_for()
        _nothing_ran(shown)
    shown = opened("pipeline", {"/api/pipeline": answers["/api/pipeline"]})
    shown.locator("#stage-enrich").click()
    shown.get_by_role("dialog").get_by_text("window.owned").first.wait_for()
    _nothing_ran(shown)
    assert complaints == []


def _nothing_ran(page: Any) -> None:
    assert page.evaluate("window.owned") is None
    assert page.locator("#view img, #view script, dialog img, dialog script, #trouble img, #here img").count() == 0
    assert "<script>" in page.locator("body").inner_text()


def test_a_blocked_stage_is_ringed_and_its_reason_is_told(opened: Open) -> None:
    why = {"workers": ["w"], "kind": "blocked", "what": "cdc.raw.core/0", "why": "offsets 3..9 are gone"}
    page = opened("pipeline", {
        "/api/pipeline": pipeline(stage("bridge"), stage("enrich", standing="blocked", reasons=[why]), stage("publish"))
    })  # fmt: skip
    assert page.locator("#stage-enrich").get_attribute("class") == "stage bad"
    page.locator("#way").get_by_text("offsets 3..9 are gone").wait_for()
    assert "waits for an operator" in (page.locator("#stage-enrich").get_attribute("aria-label") or "")
    until(page, "document.querySelector('#said').textContent === 'enrich is blocked'")


def test_a_stage_that_nobody_runs_says_how_to_run_it(opened: Open) -> None:
    page = opened("pipeline", {
        "/api/pipeline": pipeline(stage("bridge"), stage("enrich"), stage("publish", standing="absent", owners=[]))
    })  # fmt: skip
    page.locator("#way").get_by_text("cdc worker --stages publish").wait_for()


def test_a_worker_that_does_not_answer_is_named(opened: Open) -> None:
    silent = [{"name": "w", "error": None}, {"name": "other", "error": "no answer within 5 s"}]
    page = opened("pipeline", {"/api/pipeline": pipeline(workers=silent)})
    page.locator("#trouble").get_by_text("worker other does not answer: no answer within 5 s").wait_for()


def test_old_data_is_told_until_the_worker_answers_again(opened: Open) -> None:
    page = opened("pipeline")
    page.locator("#stage-enrich").wait_for()
    page.route("**/api/pipeline", lambda route: route.abort())
    page.locator("#trouble").get_by_text("this worker does not answer").wait_for()
    until(page, "document.querySelector('#fresh').classList.contains('old')")
    assert page.locator("#stage-enrich").is_visible()
    page.unroute("**/api/pipeline")
    until(page, "!document.querySelector('#trouble').textContent")


def test_nothing_is_asked_while_updates_are_paused_or_the_tab_is_hidden(opened: Open) -> None:
    page = opened("pipeline")
    page.clock.install()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
    page.get_by_role("button", name="Pause updates").click()
    page.clock.run_for(60_000)
    quiet = len(asked)
    page.clock.run_for(60_000)
    assert len(asked) == quiet
    assert "paused" in page.locator("#fresh").inner_text()
    with page.expect_request("**/api/pipeline"):
        page.get_by_role("button", name="Resume updates").click()
    page.evaluate("""() => { Object.defineProperty(document, 'hidden', {value: true, configurable: true});
                     document.dispatchEvent(new Event('visibilitychange')); }""")
    page.clock.run_for(10_000)
    quiet = len(asked)
    page.clock.run_for(60_000)
    assert len(asked) == quiet
    with page.expect_request("**/api/pipeline"):
        page.evaluate("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }")


def test_everything_can_be_done_with_the_keyboard(opened: Open) -> None:
    page = opened("pipeline")
    focused = "document.activeElement.id || document.activeElement.dataset.view"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "main"
    page.keyboard.press("/")
    assert page.evaluate(focused) == "wanted"
    page.locator("#tabs a").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == "sources"
    page.keyboard.press("End")
    assert page.evaluate(focused) == "config"
    page.keyboard.press("Enter")
    page.locator("#filter").wait_for()
    page.locator("#main").focus()
    page.keyboard.press("/")
    assert page.evaluate(focused) == "filter"
    page.evaluate("location.hash = 'pipeline'")
    page.locator("#stage-enrich").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="Stage enrich").wait_for()
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('dialog')")
    assert page.evaluate(focused) == "stage-enrich"


def test_an_update_leaves_focus_and_what_is_opened_alone(opened: Open) -> None:
    page = opened("pipeline")
    page.get_by_text("The same as a table").click()
    page.locator("#stages button").nth(1).focus()
    before = page.evaluate("window.kept = document.activeElement; window.kept.textContent")
    for _ in range(2):
        page.wait_for_event("response", lambda response: response.url.endswith("/api/pipeline"))
    assert before == "enrich"
    assert page.evaluate("document.activeElement === window.kept && document.querySelector('details').open")


def test_colours_follow_the_system_until_somebody_chooses(opened: Open) -> None:
    page = opened("pipeline", color_scheme="dark")
    theme = "document.documentElement.dataset.theme"
    page.emulate_media(color_scheme="light")
    until(page, f"{theme} === 'light'")
    page.get_by_role("button", name="Use dark colours").click()
    page.reload()
    assert page.evaluate(theme) == "dark"


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_moves_for_those_who_do_not_want_it(opened: Open, motion: str) -> None:
    busy = {"in": 5.0, "out": 5.0, "drop": 0.0, "dead_per_minute": 1}
    answers = {"/api/pipeline": pipeline(*(stage(name, rates=busy) for name in ("bridge", "enrich", "publish")))}
    page = opened("pipeline", answers, reduced_motion=motion)
    page.locator("#stage-enrich").wait_for()
    moving = page.evaluate(
        "document.getAnimations().filter((one) => one.effect.getTiming().iterations === Infinity).length"
    )
    assert bool(moving) == (motion == "no-preference")


def test_who_is_not_let_in_is_asked_for_a_token(opened: Open) -> None:
    page = opened(wait=False)
    signed_in: list[Any] = []

    def session(route: Any) -> None:
        if route.request.method == "POST":
            signed_in.append((route.request.post_data_json, route.request.headers.get("x-cdc-request")))
        route.fulfill(json={"by": "session" if signed_in else "nothing", "read": bool(signed_in), "write": False})

    page.route("**/api/session", session)
    page.route("**/api/pipeline", lambda route: route.fulfill(json=pipeline()) if signed_in else route.fulfill(
        status=401, json={"error": "sign in"}))  # fmt: skip
    page.reload()
    page.get_by_label("Token").fill("t" * 32)
    assert not page.locator("#view").is_visible()
    page.keyboard.press("Enter")
    page.locator("#stage-enrich").wait_for()
    assert signed_in == [({"token": "t" * 32}, "1")]
    page.get_by_role("button", name="Sign out").wait_for()


def test_a_view_that_cannot_be_loaded_says_so_and_the_others_go_on(opened: Open) -> None:
    page = opened("pipeline")
    page.route("**/page/sources.js", lambda route: route.abort())
    page.reload()
    page.locator("#tabs a[data-view=sources]").click()
    page.get_by_text("could not be loaded").wait_for()
    page.locator("#tabs a[data-view=pipeline]").click()
    page.locator("#stage-enrich").wait_for()


def test_dangerous_links_and_handlers_are_not_made(opened: Open) -> None:
    page = opened("pipeline")
    for attributes in ("{href: 'javascript:1'}", "{href: '//elsewhere.example'}", "{onclick: 'window.owned=1'}"):
        made = (
            f"import('/page/element.js').then(({{element}}) => element('a', {attributes}, 'x').outerHTML).catch(String)"
        )
        assert "TypeError" in page.evaluate(made), attributes
