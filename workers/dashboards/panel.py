"""What a panel and a dashboard are, and how Grafana has them (schema version 39, Grafana 10.2 and later)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

SCHEMA_VERSION = 39
COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
TAG = "cdc-worker"
Kind = Literal["timeseries", "stat"]


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and how its series are called: text with `{{label}}`."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """From which value on a number is yellow, and from which red."""

    warn: float
    bad: float

    def document(self) -> dict[str, Any]:
        """Grafana's steps, from the lowest value on."""
        steps = {"green": None, "yellow": self.warn, "red": self.bad}
        return {"mode": "absolute", "steps": [{"color": colour, "value": at} for colour, at in steps.items()]}


@dataclass(frozen=True, slots=True)
class Panel:
    """One question and its answer. `unit` is Grafana's; `width` of 24 columns."""

    title: str
    says: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = "timeseries"
    width: int = 12
    limits: Limits | None = None

    @property
    def height(self) -> int:
        """In rows of the grid."""
        return 4 if self.kind == "stat" else 8

    def document(self, number: int, x: int, y: int) -> dict[str, Any]:
        """JSON of the panel."""
        defaults: dict[str, Any] = {"unit": self.unit, "min": 0}
        if self.limits is not None:
            defaults["thresholds"] = self.limits.document()
        if self.kind == "timeseries":
            defaults["custom"] = {"fillOpacity": 8, "lineWidth": 1, "showPoints": "never", "spanNulls": False}
        options: dict[str, Any] = (
            {"colorMode": "background", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}}
            if self.kind == "stat"
            else {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
        )
        return {
            "id": number, "type": self.kind, "title": self.title, "description": self.says, "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
            "targets": [
                {"refId": chr(ord("A") + place), "expr": query.expression, "legendFormat": query.legend or "__auto",
                 "datasource": DATASOURCE}
                for place, query in enumerate(self.queries)
            ],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard; `name` is that of its file and of its URL."""

    name: str
    title: str
    panels: tuple[Panel, ...]

    def document(self) -> dict[str, Any]:
        """JSON of the dashboard."""
        return {
            "uid": f"cdc-{self.name}", "title": f"cdc-worker: {self.title}", "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION, "version": 1, "editable": True, "graphTooltip": 1, "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"}, "timezone": "browser",
            "templating": {"list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
                 "current": {}, "hide": 0, "refresh": 1, "options": []},
            ]},
            "links": [
                {"type": "dashboards", "tags": [TAG], "title": "cdc-worker", "asDropdown": True,
                 "includeVars": True, "keepTime": True, "targetBlank": False, "icon": "external link", "url": ""},
            ],
            "annotations": {"list": []}, "panels": list(_placed(self.panels)),
        }  # fmt: skip


def _placed(panels: Sequence[Panel]) -> Iterator[dict[str, Any]]:
    """Rows from left to right; the tallest panel of a row says where the next one begins."""
    x = y = tallest = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        yield panel.document(number, x, y)
        x, tallest = x + panel.width, max(tallest, panel.height)
