"""Settings of what a stage does about records that can never be published."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from workers.engine.options import DeadLimit
from workers.settings.field_types import env

_WINDOW = re.compile("([0-9]{1,6})/([0-9]{1,6})", re.ASCII)
OFF = "off"
FIRST = DeadLimit(1, 1)


def _window(value: str) -> str:
    _limit(value)
    return value


def _limit(value: str) -> DeadLimit | None:
    if value == OFF:
        return None
    found = _WINDOW.fullmatch(value)
    if found is None:
        raise ValueError("neither off nor <dead letters>/<records>, as in 200/1000")
    limit = DeadLimit(int(found[1]), int(found[2]))
    if not 1 <= limit.letters <= limit.records:
        raise ValueError("the dead letters must be at least 1 and at most as many as the records")
    return limit


class PoisonSettings(BaseSettings):
    """How many dead letters are too many."""

    dead_window: Annotated[str, AfterValidator(_window)] = Field(
        "200/1000", validation_alias=env("CDC_DEAD_WINDOW"),
        description="a stage stands still before so many of its last records are dead letters; off: it never does",
    )  # fmt: skip
    on_dead: Literal["continue", "stop"] = Field(
        "continue", validation_alias=env("CDC_ON_DEAD"),
        description="after a record that can never be published later ones go on, or the stage stands still before it",
    )  # fmt: skip

    @property
    def dead_limit(self) -> DeadLimit | None:
        """What the two settings come to."""
        return FIRST if self.on_dead == "stop" else _limit(self.dead_window)
