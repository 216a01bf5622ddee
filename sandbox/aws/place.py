"""Where the stand-in pretends to be: account, region, and the time."""

from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]  # seconds since 1970


@dataclass(frozen=True, slots=True)
class Place:
    """Names one account in one region."""

    account: str = "000000000000"
    region: str = "us-east-1"

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"
