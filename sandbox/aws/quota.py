"""How much PutEvents an account takes: two token buckets, by the clock of the stand-in. Off unless asked for.

The EventBridge quotas page counts PutEvents "in transactions per second" per account and Region, 600 to 10,000 by
Region. Whether calls or entries are counted is not published; so both can be limited, and both are told as AWS tells
throttles: a call as a whole, an entry in its result.
"""

from typing import Annotated

import msgspec

from sandbox.aws.errors import AwsError

Rate = Annotated[float, msgspec.Meta(gt=0)] | None
THROTTLED = "ThrottlingException"
RATE_EXCEEDED = "Rate exceeded"


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Per second; None is no limit. `burst` is how many seconds' worth may go at once after a pause."""

    calls: Rate = None
    entries: Rate = None
    burst: Annotated[float, msgspec.Meta(gt=0)] = 1.0


class _Bucket:
    def __init__(self, per_second: float, burst: float, now: float) -> None:
        self._per_second = per_second
        self._most = max(1.0, per_second * burst)
        self._tokens, self._at = self._most, now

    def take(self, now: float) -> bool:
        self._tokens = min(self._most, self._tokens + max(0.0, now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Throttle:
    """The quota of one account, and what is left of it. `status`: of a call that is refused."""

    def __init__(self, quota: Quota, now: float, status: int = 400) -> None:
        self.quota = quota
        self._status = status
        self._calls = _Bucket(quota.calls, quota.burst, now) if quota.calls is not None else None
        self._entries = _Bucket(quota.entries, quota.burst, now) if quota.entries is not None else None

    def call(self, now: float) -> None:
        """Before a call. Raises ThrottlingException."""
        if self._calls is not None and not self._calls.take(now):
            raise AwsError(THROTTLED, RATE_EXCEEDED, self._status)

    def entry(self, now: float) -> None:
        """Before an entry. Raises ThrottlingException."""
        if self._entries is not None and not self._entries.take(now):
            raise AwsError(THROTTLED, RATE_EXCEEDED)
