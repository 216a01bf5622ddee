"""Every view before a real worker: it shows what there is, complains of nothing, and can be used by everybody."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.examination import FAINT, NAMELESS, OVERFLOWING, SMALL_TARGETS, STRUCTURE
from tests.browser.waiting import until

Open = Callable[..., Any]
WIDTHS = (320, 768, 1440)


def test_the_pipeline_shows_every_stage_with_its_lag_and_its_owner(opened: Open, complaints: list[str]) -> None:
    page = opened("pipeline")
    for stage in ("bridge", "enrich", "publish"):
        shown = page.locator(f"#stage-{stage}")
        shown.get_by_text("running", exact=False).wait_for()
        shown.get_by_text(re.compile(r"^[\d.]+ (s|min.*) behind$")).wait_for()
        shown.get_by_text("on page-worker").wait_for()
    page.get_by_text("The same as a table").click()
    page.locator("#stages-enrich").get_by_text("page-worker").wait_for()
    assert complaints == []


def test_the_stage_that_files_dead_letters_stands_behind_them_where_it_runs(
    opened: Open, complaints: list[str]
) -> None:
    page = opened("pipeline")
    assert page.locator("#stage-archive").count() == 0
    told = page.request.get(page.url.partition("/page/")[0] + "/api/pipeline").json()
    letters = {"topic": told["topics"]["dead"], "partition": 0, "records": 7, "seconds": 4.0}
    archive = next(one for one in told["stages"] if one["name"] == "publish") | {
        "name": "archive", "sinks": ["s3", "sns"], "partitions": [letters], "buses": [],
    }  # fmt: skip
    page = opened("pipeline", {"/api/pipeline": told | {"stages": [*told["stages"], archive]}})
    shown = page.locator("#stage-archive")
    for words in ("to S3, SNS", re.compile("filed$"), "on page-worker"):
        shown.get_by_text(words).wait_for()
    page.locator("#graph .topic.dead").get_by_text("7 wait").wait_for()
    shown.click()
    page.get_by_role("dialog", name="Stage archive").wait_for()
    assert complaints == []


def test_a_stage_opens_with_how_its_records_ended(opened: Open) -> None:
    page = opened("pipeline")
    page.locator("#stage-publish").click()
    panel = page.get_by_role("dialog", name="Stage publish")
    panel.locator("#outcomes").get_by_text("out", exact=True).wait_for()
    panel.locator("#owners").get_by_text("0-3").wait_for()


def test_sources_show_children_below_their_parent_and_who_reads_them(opened: Open, complaints: list[str]) -> None:
    page = opened("sources")
    page.locator("#source-core").get_by_role("button", name="that ended").click()
    rows = page.locator("#source-core-shards tbody tr")
    until(page, "document.querySelectorAll('#source-core-shards .depth-1').length === 2")
    assert "ended" in rows.first.inner_text()
    page.get_by_role("button", name="Details of shardId-000000000003").click()
    panel = page.get_by_role("dialog", name="shardId-000000000003")
    panel.get_by_text("shardId-000000000000", exact=True).wait_for()
    panel.get_by_text("page-worker").wait_for()
    assert complaints == []


def test_settings_are_found_with_their_origin_and_no_secret(opened: Open, complaints: list[str]) -> None:
    page = opened("config")
    page.locator("#crew").get_by_text("page-worker").wait_for()
    page.locator("#filter").fill("redaction_key")
    row = page.locator("#values-redaction_key")
    row.get_by_text("***").wait_for()
    row.get_by_text("environment").wait_for()
    page.locator("#filter").fill("no such setting")
    page.get_by_text("cdc config show").wait_for()
    assert complaints == []


def test_an_examination_tells_its_findings(opened: Open, complaints: list[str]) -> None:
    page = opened("config")
    page.get_by_role("button", name="Examine now").click()
    page.locator("#findings").wait_for()
    assert "transactions" in page.locator("#findings").inner_text()
    assert complaints == []


def test_no_view_complains(opened: Open, views: list[str], complaints: list[str]) -> None:
    page = opened(views[0])
    for view in views:
        page.locator(f"#tabs a[data-view={view}]").click()
        until(page, f"document.querySelector('#tabs [aria-current]').dataset.view === '{view}'")
        page.locator("#view > :not(link)").first.wait_for()
        until(page, "document.querySelector('#view').innerText.trim().length > 0")
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_named_ordered_and_legible(opened: Open, views: list[str], scheme: str) -> None:
    page = opened(views[0], color_scheme=scheme, reduced_motion="reduce")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    for view in views:
        page.evaluate(f"location.hash = '{view}'")
        until(page, "document.querySelector('#view').innerText.trim().length > 0")
        for what in (NAMELESS, STRUCTURE, FAINT, SMALL_TARGETS):
            assert page.evaluate(what) == [], view


@pytest.mark.parametrize("width", WIDTHS)
def test_no_view_is_wider_than_the_screen(opened: Open, views: list[str], width: int) -> None:
    page = opened(views[0], viewport={"width": width, "height": 800})
    for view in views:
        page.evaluate(f"location.hash = '{view}'")
        until(page, "document.querySelector('#view').innerText.trim().length > 0")
        assert page.evaluate(OVERFLOWING) == [], view


def test_every_view_has_a_command_and_its_json(opened: Open, views: list[str]) -> None:
    page = opened(views[0])
    for view in views:
        page.evaluate(f"location.hash = '{view}'")
        until(page, "document.querySelector('#command')?.textContent.startsWith('cdc ')")
    page.evaluate("location.hash = 'pipeline'")
    page.locator("#json").wait_for()
    assert page.request.get(page.locator("#json").evaluate("(link) => link.href")).ok


def test_without_javascript_the_worker_makes_the_status(opened: Open) -> None:
    page = opened(wait=False, java_script_enabled=False)
    page.wait_for_url("**/status")
    assert page.locator("tbody tr").count() == 3
    assert page.locator("h1").inner_text() == "Pipeline"


LINES_OF_TIMES = """[...document.querySelectorAll(".whole > span")].map((span) => {
  const range = document.createRange();
  range.selectNodeContents(span);
  return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size;
})"""


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("view", ["logs", "peek", "dead-letters"])
def test_a_time_stands_on_one_line(opened: Open, view: str, width: int) -> None:
    page = opened(view, viewport={"width": width, "height": 900})
    until(page, "document.querySelectorAll('.whole > span').length > 1")
    assert set(page.evaluate(LINES_OF_TIMES)) <= {0, 1}
