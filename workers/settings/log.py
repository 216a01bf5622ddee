"""How a worker logs."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

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


class _Words(BaseSettings):
    """The two settings that say it, taken as they stand: no mistake of another one, or of theirs, is in the way."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore")
    log_format: str = Field("auto", validation_alias=env("CDC_LOG_FORMAT"))
    environment: str = Field("", validation_alias=env("ENVIRONMENT"))


def early_log_format(*, terminal: bool) -> LogFormat:
    """Out of the environment alone, for what has to be said of settings that cannot be read."""
    words = _Words()
    given: dict[str, Literal["auto", "text", "json"]] = {"text": "text", "json": "json"}
    local = words.environment.strip().upper() == Environment.LOCAL
    wanted = given.get(words.log_format.strip().lower(), "auto")
    return log_format(wanted, Environment.LOCAL if local else Environment.PRD, terminal=terminal)


def log_format(wanted: Literal["auto", "text", "json"], environment: Environment, *, terminal: bool) -> LogFormat:
    """What `auto` means here. `terminal`: somebody reads the lines where they are written."""
    if wanted != "auto":
        return wanted
    return "text" if terminal or environment is Environment.LOCAL else "json"
