"""Words that records say of their own way: names of streams and services, sequence numbers, ids. Other programs may
write anything there, so that only what can be such a word is shown (P6)."""

import re
from typing import Final

MASK: Final = "***"
"""Stands for a value, a key or a word of which nothing may be shown."""
_LABEL = re.compile(r"[A-Za-z0-9._:/+-]{1,200}", re.ASCII)


def label(text: str) -> str:
    """The text if it can be a name, a number or an id, or is empty; else MASK."""
    return text if not text or _LABEL.fullmatch(text) else MASK
