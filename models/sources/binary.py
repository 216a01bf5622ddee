"""Bytes of a row in a world of JSON: tagged, so that nobody takes them for a text."""

from typing import Any

TAG = "$binary"


def tagged(base64_text: str) -> dict[str, Any]:
    """`{"$binary": "<base64>"}`."""
    return {TAG: base64_text}
