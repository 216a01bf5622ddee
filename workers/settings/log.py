"""How a worker logs."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from models.environment import Environment
from workers.settings.field_types import env

LogFormat = Literal["text", "json"]


class LogSettings(BaseSettings):
    """Form of the log lines."""

    log_format: Literal["auto", "text", "json"] = Field(
        "auto", validation_alias=env("CDC_LOG_FORMAT"),
        description="of log lines on stderr: text, json (one object per line), or auto: text on a terminal and with "
        "ENVIRONMENT=LOCAL, else json",
    )  # fmt: skip


def log_format(wanted: Literal["auto", "text", "json"], environment: Environment, *, terminal: bool) -> LogFormat:
    """What `auto` means here. `terminal`: somebody reads the lines where they are written."""
    if wanted != "auto":
        return wanted
    return "text" if terminal or environment is Environment.LOCAL else "json"
