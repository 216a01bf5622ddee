"""Bytes of a row in a world of JSON: tagged, so that nobody takes them for a text."""

import base64
import binascii
from typing import Any

TAG = "$binary"


def tagged(base64_text: str) -> dict[str, Any]:
    """`{"$binary": "<base64>"}`."""
    return {TAG: base64_text}


def read_tagged(base64_text: Any) -> dict[str, Any] | None:
    """The same for what a source sent, in the one spelling its bytes have; None if it is no base64."""
    if type(base64_text) is not str:
        return None
    try:
        return tagged(base64.b64encode(base64.b64decode(base64_text, validate=True)).decode())
    except (binascii.Error, ValueError):
        return None


def is_tagged(value: Any) -> bool:
    """Whether a value of a row is bytes."""
    return type(value) is dict and len(value) == 1 and type(value.get(TAG)) is str
