"""Tables, Dead letters, Trace, Peek and Logs with what a real worker has, and with markup in place of data."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.examination import FAINT, NAMELESS, OVERFLOWING, SMALL_TARGETS, STRUCTURE
from tests.browser.test_shell import hostile
from tests.browser.waiting import until

Open = Callable[..., Any]
ROW = "users:7"
FILLED = {
    f"tables?what={ROW}": "#found table",
    f"tables?table=users&key={ROW}": "#entries tbody tr",
    "dead-letters": "#letters tbody tr",
    f"trace?id={ROW}": "#trail-0-hops tbody tr",
    "peek?from=-1h": "#records tbody tr",
    "logs": "#lines tbody tr",
}
"""Addresses, and what is there once they show data."""


@pytest.mark.parametrize("width", [320, 1440])
def test_a_view_with_data_is_legible_named_and_no_wider_than_the_screen(
    opened: Open, complaints: list[str], width: int
) -> None:
    page = opened(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    for view, filled in FILLED.items():
        page.evaluate(f"location.hash = '{view}'")
        until(page, f"document.querySelector('{filled}')")
        for what in (NAMELESS, STRUCTURE, FAINT, SMALL_TARGETS, OVERFLOWING):
            assert page.evaluate(what) == [], view
    assert complaints == []


def test_tables_tell_what_is_remembered_of_a_row_and_why_it_has_its_owner(opened: Open) -> None:
    page = opened(f"tables?table=users&key={ROW}")
    page.locator("#entries tbody").get_by_text(ROW).wait_for()
    page.locator("#what").fill(ROW)
    page.keyboard.press("Enter")
    page.locator("#found").get_by_text("in the order of the search").first.wait_for()
    assert page.locator("#command").inner_text() == f"cdc table explain {ROW}"


def test_a_letter_is_opened_and_planned_for_redrive_with_the_keyboard(opened: Open) -> None:
    page = opened("dead-letters")
    page.locator("#letters button").first.focus()
    page.keyboard.press("Enter")
    letter = page.get_by_role("dialog", name=re.compile("Dead letter"))
    letter.get_by_text("To do:").wait_for()
    letter.get_by_role("button", name="Redrive it").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="Redrive 1 letter?").get_by_text("PARSE_ERROR", exact=False).wait_for()
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('dialog')")


def test_a_record_that_passes_leads_to_its_trace(opened: Open) -> None:
    page = opened("peek?from=-1h")
    page.locator("#records tbody a").first.click()
    until(page, "document.querySelector('#command')?.textContent.startsWith('cdc trace evt_')")
    assert page.locator("#title").inner_text() == "Trace"
    until(page, "document.querySelector('#view').innerText.includes('page.events/')")
    until(page, "document.querySelector('#view').innerText.includes('delivered')")


def test_logs_are_those_of_the_worker_and_can_be_searched(opened: Open) -> None:
    page = opened("logs")
    page.locator("#lines tbody").get_by_text("page-worker").first.wait_for()
    page.locator("#log-grep").fill("no such text anywhere")
    page.keyboard.press("Enter")
    page.get_by_text("No such line.").wait_for()
    assert page.locator("#command").inner_text() == "cdc logs --grep 'no such text anywhere'"


def test_a_worker_whose_logs_are_not_to_be_had_is_named(opened: Open) -> None:
    silent = {
        "here": "w",
        "lines": [],
        "cursors": {},
        "missed": {"w": 3},
        "unreachable": {"other": "away"},
        "workers": [],
    }
    page = opened("logs", {"/api/logs?*": silent})
    page.locator("#log").get_by_text("worker other does not answer: away").wait_for()
    page.locator("#log").get_by_text("3 older lines not shown").wait_for()


@pytest.mark.parametrize(
    ("view", "path"),
    [
        (f"tables?what={ROW}", f"/api/tables/explain?what={ROW}"),
        (f"tables?table=users&key={ROW}", f"/api/tables/find?table=users&key={ROW}"),
        ("dead-letters", "/api/dead-letters"),
        (f"trace?id={ROW}", f"/api/trace?id={ROW}"),
        ("peek?from=-1h", "/api/peek/past?stage=enrich&from=-1h"),
        ("logs", "/api/logs?limit=5"),
    ],
)
def test_data_that_is_markup_stays_text(
    opened: Open, complaints: list[str], address: str, view: str, path: str
) -> None:
    page = opened(view)
    answer = page.request.get(address.removesuffix("/page/") + path, timeout=30_000)
    assert answer.ok, answer.text()
    shown = opened(view, {f"{path.partition('?')[0]}*": hostile(answer.json())})
    until(shown, "document.body.innerText.includes('window.owned')")
    assert shown.evaluate("window.owned") is None
    assert shown.locator("#view img, #view script").count() == 0
    assert "<script>" in shown.locator("body").inner_text()
    assert complaints == []
