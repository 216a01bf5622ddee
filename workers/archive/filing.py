"""Every letter to every sink, or to those that did not have it yet: the sink of the stage `archive`.

Nothing here makes a dead letter: what a sink refuses waits, and says so (P7).
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from models.bus_health import EventBridgeHC
from models.filed_letter import FiledLetter
from models.outcome import ErrorCategory
from workers import metrics
from workers.archive.sinks import LetterSink
from workers.aws.errors import AwsError, AwsThrottled, AwsUnavailable, ErrorCodes
from workers.engine.app import StageApp
from workers.engine.batch import record_size
from workers.engine.delivery import Delivered, Outcome, Retry

CONFIGURATION_PAUSE = 10.0
"""Seconds until a sink is asked again that an operator has to mend."""
REMEMBERED = 10_000
"""Letters that some sinks have and others not."""
HINTS = {
    "s3": "DLQ_ARCHIVE_BUCKET, its policy and key",
    "sqs": "CDC_DLQ_QUEUE_URL and the policy of the queue",
    "sns": "ALERT_TOPIC_ARN and the policy of the topic",
}


@dataclass(frozen=True, slots=True)
class Filed:
    """A letter on its way to the sinks."""

    letter: FiledLetter
    size: int
    channel: str = ""


class Filing:
    """See workers.engine.delivery.Sink."""

    def __init__(self, app: StageApp, sinks: Sequence[LetterSink]) -> None:
        self._app = app
        self._sinks = sinks
        self._partly: OrderedDict[str, set[str]] = OrderedDict()
        """Sinks that have a letter already, by its id: while one is away, the others do not get everything again."""
        self._trouble: dict[str, str] = {}
        self._taken: Counter[str] = Counter()
        self._errors = {sink.name: ErrorCodes() for sink in sinks}

    def prepare(self, record: Any) -> Filed:
        """See Sink: every record of `cdc.dead` can be filed."""
        return Filed(FiledLetter.of(record), record_size(record))

    def fit(self, prepared: Sequence[Filed]) -> int:
        """See Sink."""
        return len(prepared)

    async def put(self, prepared: Sequence[Filed]) -> list[Outcome]:
        """See Sink."""
        return [await self._file(filed.letter) for filed in prepared]

    async def _file(self, letter: FiledLetter) -> Outcome:
        have = self._partly.setdefault(letter.id, set())
        while len(self._partly) > REMEMBERED:
            self._partly.popitem(last=False)
        waits: Retry | None = None
        for sink in self._sinks:
            if sink.name in have:
                continue
            try:
                await sink.take(letter)
            except AwsError as error:
                failed = self._failed(sink, error)
                waits = failed if waits is None or failed.pause > waits.pause else waits
            else:
                have.add(sink.name)
                self._worked(sink)
        if waits is not None:
            return waits  # P7: it stays, and its offset with it
        self._partly.pop(letter.id, None)
        return Delivered()

    def _worked(self, sink: LetterSink) -> None:
        self._taken[sink.name] += 1
        self._trouble.pop(sink.name, None)
        self._app.blockers.pop(sink.name, None)

    def _failed(self, sink: LetterSink, error: AwsError) -> Retry:
        self._errors[sink.name].count(error.code)
        reason = f"{sink.name}: {error.code}"
        if self._trouble.get(sink.name) != error.code:
            self._app.log.warning("archive: %s does not take letters: %s", sink.name, error.code)
        self._trouble[sink.name] = error.code
        if isinstance(error, AwsThrottled | AwsUnavailable):
            self._app.blockers.pop(sink.name, None)
            return Retry(reason, whole=True)
        self._app.blockers[sink.name] = f"{error.code}: check {HINTS[sink.name]}"
        return Retry(reason, pause=CONFIGURATION_PAUSE, category=ErrorCategory.CONFIGURATION, whole=True)

    def forget_troubles(self) -> None:
        """A new generation of the group: what waits may be somebody else's now. What is still wrong shows again."""
        for name in list(self._trouble):
            self._app.blockers.pop(name, None)
        self._trouble.clear()

    def report(self, name: str) -> dict[str, Any]:
        """One sink, for the web view and for whoever watches it."""
        if name in self._trouble:
            return {"health": EventBridgeHC.IN_ALARM, "trouble": self._trouble[name]}
        return {"health": EventBridgeHC.OK if self._taken[name] else EventBridgeHC.UNKNOWN, "trouble": ""}

    def measure(self) -> Iterable[metrics.Sample]:
        """For `/metrics`."""
        for sink in self._sinks:
            yield metrics.ARCHIVE_UP.of(sink.name not in self._trouble, sink.name)
            yield metrics.ARCHIVE_LETTERS.of(self._taken[sink.name], sink.name)
            for code, count in sorted(self._errors[sink.name].items()):
                yield metrics.ARCHIVE_ERRORS.of(count, sink.name, code)
