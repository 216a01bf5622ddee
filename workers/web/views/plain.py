"""`/status`: the pipeline without JavaScript, made by the worker. The page sends browsers without it here."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

from aiohttp import web

from workers.app import now_ms
from workers.web.routes import Desk, Route, Scope
from workers.web.views.pipeline import merged

HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    '<meta http-equiv="refresh" content="10"><title>Pipeline · cdc</title>'
    '<link rel="icon" href="/page/icon.svg" type="image/svg+xml"><link rel="stylesheet" href="/page/page.css"></head>'
)


async def status(desk: Desk, _request: web.Request) -> web.Response:
    """All stages of all workers as one table."""
    answers = await desk.cluster.ask("/internal/pipeline")
    text = document(merged(desk.settings, answers), desk.cluster.here, now_ms())
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


def document(found: Mapping[str, Any], here: str, at_ms: int) -> str:
    """The page. Everything that comes from outside is escaped."""
    stages = "".join(_row(stage) for stage in found["stages"])
    reasons = "".join(
        f"<li>{escape(stage['name'])}: {escape(reason['what'])}: {escape(reason['why'])} "
        f"({escape(reason['kind'])}; {escape(', '.join(reason['workers']))}{_since(reason['since_ms'])})</li>"
        for stage in found["stages"]
        for reason in stage["reasons"]
    )
    silent = "".join(
        f"<li>worker {escape(worker['name'])} does not answer: {escape(worker['error'])}</li>"
        for worker in found["workers"]
        if worker["error"]
    )
    troubles = (
        f'<ul class="trouble">{silent}{reasons}</ul>' if silent or reasons else "<p>Nothing stands in the way.</p>"
    )
    return (
        f"{HEAD}<body><main><h1>Pipeline</h1>"
        f'<p class="muted">As worker {escape(here)} sees it, {_moment(at_ms)}; loaded again every 10 s. '
        'The same as JSON: <a href="/api/pipeline">/api/pipeline</a>. In a terminal: <code>cdc status</code>. '
        'With JavaScript: <a href="/page/">/page/</a></p>'
        f'{troubles}<div class="scroll"><table><caption>Stages of all workers</caption>'
        f"<thead><tr>{_cells('th', TITLES)}</tr></thead><tbody>{stages}</tbody></table></div></main></body></html>"
    )


TITLES = ("Stage", "State", "Records/s in", "Records/s out", "Dead/min", "Records behind", "Seconds behind", "Workers")


def _row(stage: Mapping[str, Any]) -> str:
    rates = stage["rates"]
    values = (
        stage["name"], stage["standing"] or "unknown", f"{rates['in']:.1f}", f"{rates['out']:.1f}",
        rates["dead_per_minute"], _known(stage["records_behind"]), _known(stage["seconds_behind"]),
        ", ".join(owner["worker"] for owner in stage["owners"]) or "none",
    )  # fmt: skip
    return f"<tr>{_cells('td', values)}</tr>"


def _cells(name: str, values: Iterable[Any]) -> str:
    return "".join(
        f'<{name} data-title="{escape(title)}"><span>{escape(str(value))}</span></{name}>'
        for title, value in zip(TITLES, values, strict=True)
    )


def _since(ms: int) -> str:
    return f"; since {_moment(ms)}" if ms else ""


def _moment(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _known(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f}"


ROUTES = (Route("GET", "/status", Scope.READ, status, "The pipeline as a page without JavaScript."),)
