"""Types of settings: a blank value in the environment or in `.env` counts as not set."""

from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AliasChoices, BeforeValidator, SecretStr

from models.source_spec import SOURCE_NAME, is_stream
from models.start_position import StartAt
from workers.failures import ConfigurationError


def blank_is_unset(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


OptionalText = Annotated[str | None, BeforeValidator(blank_is_unset)]
OptionalPath = Annotated[Path | None, BeforeValidator(blank_is_unset)]
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(blank_is_unset)]
OptionalVersion = Annotated[int | None, BeforeValidator(blank_is_unset)]
OptionalPort = Annotated[int | None, BeforeValidator(blank_is_unset)]


def start_position(value: str) -> str:
    """Checked here, so that a mistake is told with the others."""
    StartAt.parse(value)
    return value


StartPosition = Annotated[str, AfterValidator(start_position)]


def _source_name(value: str) -> str:
    if not SOURCE_NAME.fullmatch(value):
        raise ValueError("only letters, digits, ., _ and -")
    return value


def _stream_name(value: str) -> str:
    if not is_stream(value):
        raise ValueError("neither the name of a stream nor its ARN")
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no time zone that this machine knows") from None
    return value


TimeZone = Annotated[str, AfterValidator(_time_zone)]
SourceName = Annotated[str, AfterValidator(_source_name)]
StreamName = Annotated[str, AfterValidator(_stream_name)]


def env(*names: str) -> Any:
    """Names of a setting in the environment; the first one that is set counts."""
    return AliasChoices(*names)


def secret_text(name: str, value: SecretStr | None, file: Path | None) -> str:
    """A secret from the setting `name` or from the file of `<name>_FILE`, without white space around it; empty if
    neither is set. Raises ConfigurationError if the file cannot be read."""
    if file is None:
        return value.get_secret_value() if value is not None else ""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(
            f"{name}_FILE cannot be read: {reason}", hint="check the path and its permissions"
        ) from None


def one_way(**ways: object) -> list[str]:
    """A mistake if more than one of these settings is set: each is a way to say the same."""
    used = [name for name, value in ways.items() if value]
    return [f"set {' or '.join(used)}, not {'both' if len(used) == 2 else 'all of them'}"] if len(used) > 1 else []
