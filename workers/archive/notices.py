"""Messages to the alert topic: what is wrong, where to look, and never a payload (P6)."""

import asyncio
import hashlib
import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from models.alerts import MAX_WHY, OTHER, Change, Due, LetterAlerts, Matter, plain
from models.buried import GAP
from models.filed_letter import FiledLetter, iso_time
from workers import metrics
from workers.archive.sinks import SessionOf, attributes, message_group
from workers.aws.client import Reach, Session
from workers.logs.redaction import masked
from workers.settings.archive import region_of_topic
from workers.settings.worker import Settings

HIGH, INFO = "HIGH", "INFO"
MAX_ID = 128
COMMANDS = {
    "gap": "cdc status",
    "pause": "cdc check",
    "restarts": "cdc status",
    "unreachable": "cdc check",
    "throttled": "cdc status",
}
"""By kind of trouble: what to run first."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message. `id` is the same for every try to send it."""

    id: str
    kind: str
    severity: str
    stage: str
    code: str
    subject: str
    document: dict[str, Any]


class AlertTopic:
    """The SNS topic. `identity`: what every message says of its sender."""

    def __init__(self, session: Session, arn: str, identity: dict[str, str]) -> None:
        self._session = session
        self._arn = arn
        self._identity = identity
        self.sent: Counter[str] = Counter()
        """By kind."""

    async def publish(self, notice: Notice) -> None:
        """Return when the topic has it. Raises AwsError."""
        document = {"id": notice.id, "kind": notice.kind, "severity": notice.severity, **self._identity}
        more: dict[str, Any] = {}
        if self._arn.endswith(".fifo"):
            more = {
                "MessageGroupId": message_group(notice.stage, notice.kind),
                "MessageDeduplicationId": notice.id[:MAX_ID],
            }
        await self._session.cold(
            "sns", "publish", TopicArn=self._arn, Subject=plain(f"[{self._identity['environment']}] {notice.subject}"),
            Message=msgspec.json.encode(document | notice.document).decode(),
            MessageAttributes=attributes(
                id=notice.id, kind=notice.kind, severity=notice.severity, stage=notice.stage, code=notice.code
            ),
            **more,
        )  # fmt: skip
        self.sent[notice.kind] += 1


def alert_topic(settings: Settings, session_of: SessionOf) -> AlertTopic | None:
    """The topic of these settings; None if nobody wants to hear."""
    arn = settings.alert_topic_arn
    if arn is None:
        return None
    identity = {"service": settings.event_source, "app": settings.app, "environment": str(settings.environment)}
    if settings.worker_name:
        identity["worker"] = settings.worker_name
    return AlertTopic(session_of(Reach(region_of_topic(arn) or settings.aws_region)), arn, identity)


class LetterNotices:
    """The sink of the alert topic: few messages for many letters, as models/alerts.py says."""

    name = "sns"

    def __init__(self, topic: AlertTopic, bucket: str | None, now: Callable[[], float]) -> None:
        self.alerts = LetterAlerts()
        self._topic = topic
        self._bucket = bucket
        self._now = now
        self._noted: dict[str, Matter] = {}
        """By the id of letters that are counted, and whose message did not arrive: they come again."""
        self._one_at_a_time = asyncio.Lock()

    async def take(self, letter: FiledLetter) -> None:
        """Count it, and tell if it is time. Raises AwsError: the letter is to come again, and is counted once."""
        async with self._one_at_a_time:
            now = self._now()
            if letter.id not in self._noted:
                matter = Matter(letter.buried.stage, letter.buried.code, _table(letter))
                latest = _latest(letter, self._bucket)
                self._noted[letter.id] = self.alerts.note(matter, latest, letter.failed_ms, now)
            due = self.alerts.due_of(self._noted[letter.id], now)
            if due is not None:
                await self._tell(due)
            del self._noted[letter.id]

    async def catch_up(self) -> None:
        """Tell what was held back, as soon as it is time. Raises AwsError."""
        async with self._one_at_a_time:
            for due in self.alerts.due(self._now()):
                await self._tell(due)

    def measure(self) -> Iterable[metrics.Sample]:
        """For `/metrics`."""
        yield metrics.ALERTS_HELD_BACK.of(self.alerts.held_back)
        for kind, count in sorted(self._topic.sent.items()):
            yield metrics.ALERTS_SENT.of(count, kind)

    async def _tell(self, due: Due) -> None:
        await self._topic.publish(letters_notice(due))
        self.alerts.told(due, self._now())


def letters_notice(due: Due) -> Notice:
    """One message for all letters of a matter since the last one."""
    matter, latest = due.matter, due.latest
    where = f" in {matter.table}" if matter.table else ""
    kind = "gap" if matter.code == GAP else "dead-letters"
    return Notice(
        id=str(latest["id"]), kind=kind, severity=HIGH, stage=matter.stage, code=matter.code,
        subject=f"cdc {matter.stage or 'pipeline'}: {due.count} x {matter.code}{where}",
        document={
            "stage": matter.stage, "code": matter.code, "table": matter.table or None, "count": due.count,
            "heldBack": due.count - 1, "firstFailedAt": iso_time(due.first_ms), "lastAttempt": iso_time(due.last_ms),
            "latest": latest, "run": [f"cdc dlq show {latest['letterId']}", _look(matter)],
        },
    )  # fmt: skip


def trouble_notice(change: Change, sender: str) -> Notice:
    """A pause that began, or is over. `sender` tells workers apart that see the same."""
    trouble = change.trouble
    digest = hashlib.blake2b(
        f"{sender}|{trouble.stage}|{trouble.kind}|{trouble.name}|{change.since}|{change.over}".encode(), digest_size=8
    ).hexdigest()
    why = masked(trouble.why)[:MAX_WHY]  # P6: it may be what a library said
    what = "is over" if change.over else why
    document: dict[str, Any] = {
        "stage": trouble.stage, "what": trouble.name, "trouble": trouble.kind, "seconds": round(change.seconds),
    }  # fmt: skip
    if not change.over:
        document |= {"why": why, "run": [COMMANDS[trouble.kind]]}
    return Notice(
        id=f"{trouble.kind}-{digest}", kind="recovered" if change.over else trouble.kind,
        severity=INFO if change.over else HIGH, stage=trouble.stage, code=trouble.kind.upper(),
        subject=f"cdc {trouble.stage}: {trouble.kind} {trouble.name}: {what}", document=document,
    )  # fmt: skip


def _look(matter: Matter) -> str:
    """The command that shows these letters, to be pasted into a shell: what stands in headers anybody may write."""
    if matter.code == OTHER:
        return "cdc dlq stats"
    table = "" if matter.code == GAP else matter.table  # a gap has none: there it is a topic
    filters = (("stage", matter.stage), ("code", matter.code), ("table", table))
    named = [f"--{name} {shlex.quote(text)}" for name, text in filters if text and text.isprintable()]
    return " ".join(["cdc dlq list", *named])


def _table(letter: FiledLetter) -> str:
    return letter.buried.table or letter.buried.gap.get("topic", "")


def _latest(letter: FiledLetter, bucket: str | None) -> dict[str, Any]:
    return {**letter.pointer(bucket), "letterId": str(letter.buried.id)}
