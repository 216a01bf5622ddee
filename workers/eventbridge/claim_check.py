"""Events that stand in S3 before the bus is told of them: a small event refers to each (`payloadRef`)."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from enrichers.oversize import Claim, Step
from workers.aws.errors import AwsError, AwsThrottled, AwsUnavailable
from workers.engine.delivery import Outcome, Retry, Undeliverable
from workers.eventbridge.answers import CONFIGURATION_PAUSE
from workers.eventbridge.bus import FrontedBus, IBus, Prepared
from workers.eventbridge.bus_sight import Cold
from workers.eventbridge.entry import Entry

EXISTS = "PreconditionFailed"
PASSING = frozenset({"ConditionalRequestConflict", "RequestTimeout", "OperationAborted"})
"""Refusals that a second try cures: somebody else writes the same object, or the bytes came too slowly."""
KEPT = 1_000
"""Objects that are known to be there: an event that is sent again is not written again."""


def trouble_of(bus: str) -> str:
    """Name, among the blockers of a stage, of what S3 refuses of a bus's events."""
    return f"claim check of bus {bus}"


class IObjects(Protocol):
    """Where whole events are kept."""

    async def write(self, claim: Claim) -> None:
        """Return when it is there, from now on or from before. Raises AwsError."""


class Bucket:
    """A bucket of S3: an object is written once, and encrypted with `kms_key`, else as the bucket does by default."""

    def __init__(self, aws: Cold, kms_key: str | None) -> None:
        self._aws = aws
        self._encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}

    async def write(self, claim: Claim) -> None:
        """See IObjects."""
        try:
            await self._aws.cold(
                "s3", "put_object", Bucket=claim.bucket, Key=claim.key, Body=claim.content,
                ContentType="application/json", IfNoneMatch="*", **self._encryption,
            )  # fmt: skip
        except AwsError as error:
            if error.code in PASSING:
                raise AwsUnavailable(error.code) from None
            if error.code != EXISTS:
                raise


class ClaimCheckedBus(FrontedBus):
    """A bus whose large events stand in S3 first. An outage of S3 holds the lanes of these events, and no others (P7).

    `report` is told why S3 refuses them, in words for an operator, and None when it takes one again. `patience`:
    seconds for a write; less than a call may take, or a silent S3 would look like a silent bus."""

    def __init__(
        self, bus: IBus, objects: IObjects, report: Callable[[str | None], None], *, patience: float = 5.0
    ) -> None:
        super().__init__(bus)
        self._objects = objects
        self._report = report
        self._patience = patience
        self._kept: dict[str, None] = {}
        self._large = False
        """Whether any event ever had to stand in S3: almost no worker looks for one in each request."""
        self.fitted: Counter[Step] = Counter()
        """Events that a step of the ladder made fit, each time they came into a window."""

    def prepare(self, entry: Entry) -> Prepared | Undeliverable:
        """See IBus."""
        if entry.step is not None:
            self.fitted[entry.step] += 1
            self._large |= entry.claim is not None
        return self._bus.prepare(entry)

    def fit(self, prepared: Sequence[Prepared]) -> int:
        """See IBus. An event that S3 must take first goes alone: its neighbours do not wait for S3."""
        if self._large:
            for place, one in enumerate(prepared):
                if one.entry.claim is not None:
                    return self._bus.fit(prepared[:place]) if place else 1
        return self._bus.fit(prepared)

    async def put(self, prepared: Sequence[Prepared]) -> list[Outcome]:
        """See IBus."""
        if not self._large or all(one.entry.claim is None for one in prepared):
            return await self._bus.put(prepared)
        troubles = await asyncio.gather(*(self._keep(one.entry.claim) for one in prepared))
        ready = [one for one, trouble in zip(prepared, troubles, strict=True) if trouble is None]
        answers = iter(await self._bus.put(ready) if ready else [])
        return [next(answers) if trouble is None else trouble for trouble in troubles]

    async def _keep(self, claim: Claim | None) -> Retry | None:
        """P3: the object is there before anybody can read of it."""
        if claim is None or claim.ref in self._kept:
            return None
        try:
            async with asyncio.timeout(self._patience):
                await self._objects.write(claim)
        except TimeoutError:
            return Retry("S3:Timeout")
        except (AwsThrottled, AwsUnavailable) as error:
            return Retry(f"S3:{error.code}")
        except AwsError as error:
            self._report(f"S3 refuses large events: {error.code}; see CDC_CLAIM_CHECK_BUCKET and its permissions")
            # Not of the category CONFIGURATION: the bus refuses nothing.
            return Retry(f"S3:{error.code}", pause=CONFIGURATION_PAUSE)
        self._report(None)
        self._kept[claim.ref] = None
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return None
