"""The stage `publish` of a process, as far as health looks at it."""

import logging
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

from workers.engine.lag import Lag
from workers.engine.stages import Stage


class Slots:
    def __init__(self) -> None:
        self.owned: dict[int, object] = {}
        self.stats = type("Stats", (), {"outcomes": Counter()})()
        self.planned = 0


class Tables(dict[str, Any]):
    remaining = 0


class App:
    """Ready, without a slot."""

    fingerprint = "f00d"
    _consumer = None

    def __init__(self) -> None:
        self.slots = Slots()
        self.ready = True
        self.log = logging.getLogger("cdc.cdc-publish")
        self.reports: dict[str, Any] = {}
        self.measures: list[Any] = []
        self.tables = Tables()
        self.lags = SimpleNamespace(of_stage=lambda _now_ms: Lag(None, None))


def publish_stage(*slots: int) -> tuple[Stage, App]:
    """The stage and its app, which holds these slots."""
    stage = Stage("publish", cast("Any", None), cast("Any", None))
    app = App()
    app.slots.owned = {index: object() for index in slots}
    stage.app = cast("Any", app)
    return stage, app
