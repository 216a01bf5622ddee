"""The effective settings as an operator may see them: every value or `***`, and where it comes from."""

import hashlib
import json
import re
import typing
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from workers.settings.origins import Origin, OriginKind, names_of
from workers.settings.worker import Settings

MASK = "***"
OF_ONE_WORKER = frozenset({
    "worker_name", "data_dir", "sandbox_dir", "cache_dir", "web_port", "log_level", "redaction_key_file",
    "database_url_file",
})  # fmt: skip
"""Fields that may well differ from worker to worker, so that they are no part of the fingerprint."""
_LOGIN = re.compile(r"(?<=://).*@|(?<![^\s,;])[^\s,;/@]+:(?!//)[^\s,;@]*@", re.DOTALL)
"""User and password before a host: all up to the last @ of a URL, or `user:password@` without one."""
_QUERY = re.compile(r"(?<=://)([^?#\s]*)[?#]\S*")
"""What stands behind the path of a URL may be a token."""


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting. No text holds a secret (P6)."""

    name: str
    """As in the environment."""
    value: str
    """Empty: not set. `***`: set, and secret."""
    origin: OriginKind
    where: str
    """Name of the variable, `.env:3`, path of a file, name of an SSM parameter; empty for a default."""
    default: str
    changed: bool
    """Whether the value differs from the default."""
    field: str
    """Name in the code."""
    description: str

    def document(self) -> dict[str, Any]:
        """The row as JSON."""
        return asdict(self)


def origins(settings: Settings) -> tuple[SettingRow, ...]:
    """Every setting in the order of `.env.example`. Reads no file and asks nobody."""
    return tuple(_row(settings, field, info) for field, info in Settings.model_fields.items())


def fingerprint(rows: Iterable[SettingRow]) -> str:
    """16 hex digits that differ between workers whose settings do. Secrets count as set or not set only, what is a
    matter of one worker not at all: equal fingerprints do not prove equal keys."""
    told = sorted((row.name, row.value) for row in rows if row.field not in OF_ONE_WORKER)
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()


def setting_text(value: Any) -> str:
    """A value as it would stand in `.env`; a secret is hidden."""
    match value:
        case None:
            return ""
        case SecretStr():
            return MASK
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(str, value))
        case Path():
            return value.as_posix()
        case _:
            return str(value)


def without_credentials(text: str) -> str:
    """The text without what stands before a host (`user:password@`), and behind the path of a URL."""
    return _QUERY.sub(rf"\1?{MASK}", _LOGIN.sub(f"{MASK}@", text))


def is_secret(info: FieldInfo) -> bool:
    """Whether the value of a setting must never be shown."""
    return SecretStr in _types(info.annotation)


def _types(annotation: Any) -> Iterator[Any]:
    inner = typing.get_args(annotation)
    if not inner:
        yield annotation
    for one in inner:
        yield from _types(one)


def _row(settings: Settings, field: str, info: FieldInfo) -> SettingRow:
    value, origin = getattr(settings, field), settings.origins.get(field, Origin())
    changed = value != info.default
    text = without_credentials(setting_text(value if changed else info.default))  # 40.0 and 40 are one value
    if is_secret(info) and value is None and (elsewhere := _elsewhere(settings, field)) is not None:
        text, origin, changed = MASK, elsewhere, True
    default = without_credentials(setting_text(info.default))
    return SettingRow(
        name=names_of(info)[0], value=text, origin=origin.kind, where=origin.where, default=default,
        changed=changed, field=field, description=info.description or "",
    )  # fmt: skip


def _elsewhere(settings: Settings, field: str) -> Origin | None:
    """Where a secret stands that is not in the environment itself."""
    path = getattr(settings, f"{field}_file", None)
    if path is not None:
        return Origin(OriginKind.FILE, path.as_posix())
    match field:
        case "redaction_key" if settings.ssm_redaction_key:
            return Origin(OriginKind.SSM, settings.ssm_redaction_key)
        case "database_url" if settings.ssm_database.given:
            return Origin(OriginKind.SSM, ", ".join(settings.ssm_database.given.values()))
        case _:
            return None
