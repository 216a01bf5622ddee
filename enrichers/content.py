"""What redaction let through."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

import msgspec


class Content(msgspec.Struct, frozen=True, gc=False):
    """What is left of a change after redaction: all that an event may say of the row."""

    keys: Mapping[str, Any]
    previous_keys: Mapping[str, Any] | None
    changes: Mapping[str, Any]
    images: Mapping[str, Mapping[str, Any]]
    redacted: tuple[str, ...]
    org_id: Any
    user_id: Any
    compared: bool
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Hash or token -> the same value's under the other key version, while there are two (docs/decisions/0030)."""
