"""Which bus events go to: by name or ARN, of either generation of EventBridge."""

import re
from dataclasses import dataclass
from functools import lru_cache

CLASSIC_NAME = re.compile(r"[/.\-_A-Za-z0-9]{1,256}", re.ASCII)
CLASSIC_ARN = re.compile(
    r"arn:aws[a-z-]*:events:([a-z0-9-]+):([0-9]{12}):event-bus/([/.\-_A-Za-z0-9]{1,256})", re.ASCII
)
CUSTOM_ARN = re.compile(
    r"arn:aws[a-z-]*:events:([a-z0-9-]+):([0-9]{12}):event-busv2/([A-Za-z0-9][.\-_A-Za-z0-9]{0,255})/[a-z0-9]{25}",
    re.ASCII,
)
"""Groups of both: region, account, name. A Custom Event Bus has no other address than its ARN."""
WRONG_BUS = "neither the name of an event bus nor its ARN (…:event-bus/<name> or …:event-busv2/<name>/<id>)"


@dataclass(frozen=True, slots=True)
class EventBus:
    """`text` is what the settings say: name or ARN."""

    text: str
    name: str
    custom: bool = False
    """A Custom Event Bus (v2); else a classic one."""
    region: str | None = None
    """None: the worker's own."""
    account: str | None = None
    """None: of whoever asks."""


@lru_cache(maxsize=256)
def event_bus(text: str) -> EventBus:
    """Raises ValueError for what is no address of a bus."""
    for pattern, custom in ((CUSTOM_ARN, True), (CLASSIC_ARN, False)):
        if found := pattern.fullmatch(text):
            return EventBus(text, found[3], custom, found[1], found[2])
    if not CLASSIC_NAME.fullmatch(text) or text.startswith("arn:"):
        raise ValueError(WRONG_BUS)
    return EventBus(text, text)
