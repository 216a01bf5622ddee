"""Keeps the newest state of every row from the events in an SQS queue, although they come twice, late and in any order.

EventBridge and SQS deliver at least once and keep no order; a replay, a redrive and a restarted publisher send events
again. Two fields of each event are all it takes:

- `eventId` is the same for one change, however often it is sent: what was seen is a repeat.
- `metadata.sequence` grows from change to change of one entity, and compares as text. An event holds the columns that
  changed, so it is compared column by column: what is older than the value at hand is stale. In whatever order the
  events of a row come, its state is the same in the end.

Both are checked and noted in the transaction that changes the state, so that a crash anywhere repeats nothing.

An event that is too large for the bus comes as a small one: `payloadRef` says where in S3 the whole one is, which is
fetched first. Or its longest texts are cut: what is left of one is kept as `{"$cut": ...}`, never as if it were whole.

Needs boto3 and Python's own sqlite3; with another database the statements stay the same.
"""

import argparse
import json
import logging
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import permutations
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

DAY_SECONDS = 86_400
MOST_MESSAGES = 10
LONG_POLL_SECONDS = 20
S3 = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 2})
"""Gives up soon: the queue brings the message again, and ten of them wait for one another."""

log = logging.getLogger("consumer")

SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (event_id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_at ON seen (at);
CREATE TABLE IF NOT EXISTS ended (entity TEXT PRIMARY KEY, sequence TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cells (
  entity TEXT, column_name TEXT, sequence TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (entity, column_name)
) WITHOUT ROWID;
"""
"""`ended`: when a row was deleted; it stays, so that an older change which comes later does not bring the row back."""


class Verdict(StrEnum):
    """What became of one message."""

    APPLIED = "applied"
    REPEAT = "repeat"
    STALE = "stale"


class NotAnEvent(ValueError):
    """The message holds no event of the pipeline. The text never quotes it."""


class NotFetched(Exception):
    """S3 did not give the whole event that the message refers to."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a consumer needs of an event's detail."""

    event_id: str
    entity: str
    sequence: str
    operation: str
    changes: dict[str, Any]
    """Column -> {"old", "new"}; `old` is missing for a new row, `new` for a deleted one."""
    cut: frozenset[str] = frozenset()
    """Columns whose texts may be only their beginning."""
    previous_entity: str | None = None
    """The entity the row was until its key changed."""

    @classmethod
    def read(cls, body: str, s3: Any) -> "Event":
        """The whole event that the body of an SQS message holds or refers to. Raises NotAnEvent, NotFetched."""
        try:
            detail = json.loads(body)["detail"]
            if "payloadRef" in detail:
                detail = _whole(detail, s3)
            metadata = detail["metadata"]
            if "changes" in (metadata.get("omittedFields") or ()):  # to take it would be to lose what it does not say
                raise NotAnEvent
            previous = detail.get("previousKeys")
            return cls(
                event_id=detail["eventId"],
                entity=f"{detail['entityType']}:{detail['entityId']}",
                sequence=metadata["sequence"],
                operation=detail["operation"],
                changes=dict(detail["changes"]),
                cut=frozenset(metadata.get("truncatedFields") or ()),
                previous_entity=None if previous is None else _entity(detail, previous),
            )
        except (ValueError, LookupError, TypeError, AttributeError):
            raise NotAnEvent("no event of the pipeline") from None

    def value(self, column: str) -> Any:
        """The new value of a changed column, `{"$cut": ...}` if it may be only the beginning of it."""
        value = self.changes[column].get("new")
        return {"$cut": value} if column in self.cut and isinstance(value, str | list | dict) else value


def _whole(detail: dict[str, Any], s3: Any) -> dict[str, Any]:
    """The event itself, for which `detail` stands. Raises NotFetched, and ValueError if the object is another's."""
    bucket, _, key = detail["payloadRef"].removeprefix("s3://").partition("/")
    try:
        content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except (BotoCoreError, ClientError) as error:
        raise NotFetched(f"the whole event is not to be had: {error}") from error
    whole: dict[str, Any] = json.loads(content)
    if whole["eventId"] != detail["eventId"]:
        raise ValueError
    return whole


def _entity(detail: dict[str, Any], keys: dict[str, Any]) -> str:
    """The entity of these keys, with its columns in the order that `entityId` has them in."""
    now: dict[str, Any] = detail["keys"]
    ordered = next(
        (names for names in permutations(now) if ":".join(_text(now[name]) for name in names) == detail["entityId"]),
        now,
    )
    return f"{detail['entityType']}:{':'.join(_text(keys[name]) for name in ordered)}"


def _text(value: Any) -> str:
    """A key value as `entityId` has it: `%` and `:` are encoded, bytes are `%b64` and their base64."""
    mark, text = ("%b64", value["$binary"]) if isinstance(value, dict) else ("", value)
    text = str(text).lower() if isinstance(text, bool) else str(text)
    return mark + text.replace("%", "%25").replace(":", "%3A")


class Inbox:
    """The state, and what was seen on the way to it, in one SQLite file."""

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(SCHEMA)

    def take(self, event: Event, now: float) -> Verdict:
        """Apply the event unless it is a repeat or stale; all of it or nothing. `now`: seconds since the epoch."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if self._db.execute("SELECT 1 FROM seen WHERE event_id = ?", (event.event_id,)).fetchone():
                return Verdict.REPEAT
            self._db.execute("INSERT INTO seen VALUES (?, ?)", (event.event_id, now))
            changed = self._end(event) if event.operation == "DELETE" else self._set(event)
            return Verdict.APPLIED if changed else Verdict.STALE

    def _end(self, event: Event) -> int:
        return self._db.execute(
            "INSERT INTO ended VALUES (?, ?) ON CONFLICT (entity) DO UPDATE SET sequence = excluded.sequence"
            " WHERE excluded.sequence > sequence",
            (event.entity, event.sequence),
        ).rowcount

    def _set(self, event: Event) -> int:
        if event.previous_entity is not None:  # sequences of two entities do not compare: it ends with what is known
            self._db.execute(
                "INSERT INTO ended SELECT entity, max(sequence) FROM cells WHERE entity = ? GROUP BY entity"
                " ON CONFLICT (entity) DO UPDATE SET sequence = max(sequence, excluded.sequence)",
                (event.previous_entity,),
            )
        if self._db.execute(
            "SELECT 1 FROM ended WHERE entity = ? AND sequence >= ?", (event.entity, event.sequence)
        ).fetchone():
            return 0
        cells = [(event.entity, column, event.sequence, json.dumps(event.value(column))) for column in event.changes]
        return sum(
            self._db.execute(
                "INSERT INTO cells VALUES (?, ?, ?, ?) ON CONFLICT (entity, column_name) DO UPDATE"
                " SET sequence = excluded.sequence, value = excluded.value WHERE excluded.sequence > sequence",
                cell,
            ).rowcount
            for cell in cells
        )

    def state(self, entity: str) -> dict[str, Any] | None:
        """The row as far as events told it; None if there is none (any more)."""
        cells = self._db.execute(
            "SELECT column_name, value FROM cells LEFT JOIN ended USING (entity)"
            " WHERE entity = ? AND cells.sequence > coalesce(ended.sequence, '') ORDER BY column_name",
            (entity,),
        ).fetchall()
        return {name: json.loads(value) for name, value in cells} or None

    def forget(self, before: float) -> int:
        """Forget event ids from before that time; how many. Their repeats are stale then, so nothing comes of them."""
        return self._db.execute("DELETE FROM seen WHERE at < ?", (before,)).rowcount

    def close(self) -> None:
        self._db.close()


class Consumer:
    """Reads one queue into an inbox. What it cannot read or fetch stays in the queue, for its own redrive policy."""

    def __init__(self, sqs: Any, s3: Any, queue_url: str, inbox: Inbox, now: Callable[[], float] = time.time) -> None:
        self._sqs, self._s3, self._url, self._inbox, self._now = sqs, s3, queue_url, inbox, now
        self.counts: Counter[str] = Counter()
        self.stopping = False

    def poll(self, wait_seconds: int = LONG_POLL_SECONDS) -> int:
        """Take one batch of messages; how many there were."""
        answer = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=MOST_MESSAGES, WaitTimeSeconds=wait_seconds
        )
        messages: Sequence[dict[str, str]] = answer.get("Messages", ())
        done = [message["ReceiptHandle"] for message in messages if self._take(message)]
        if done:  # after the commit: a crash before this line makes repeats, which the inbox knows
            entries = [{"Id": str(index), "ReceiptHandle": handle} for index, handle in enumerate(done)]
            self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
        return len(messages)

    def _take(self, message: dict[str, str]) -> bool:
        try:
            verdict = self._inbox.take(Event.read(message["Body"], self._s3), self._now())
        except (NotAnEvent, NotFetched) as error:
            log.warning("message %s: %s", message.get("MessageId", "?"), error)
            self.counts["unfetched" if isinstance(error, NotFetched) else "unreadable"] += 1
            return False
        self.counts[verdict] += 1
        return True

    def run(self, keep_days: float) -> None:
        """Poll until `stopping`."""
        forget_at = 0.0
        while not self.stopping:
            self.poll()
            if self._now() >= forget_at:
                self._inbox.forget(self._now() - keep_days * DAY_SECONDS)
                forget_at = self._now() + 3_600


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("queue_url", help="the SQS queue an EventBridge rule delivers to")
    parser.add_argument("--database", default="consumer.sqlite", help="SQLite file of the state (default: %(default)s)")
    parser.add_argument(
        "--keep-days", type=float, default=14,
        help="how long event ids are remembered; longer than events can come again (default: %(default)s)",
    )  # fmt: skip
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    inbox = Inbox(arguments.database)
    consumer = Consumer(boto3.client("sqs"), boto3.client("s3", config=S3), arguments.queue_url, inbox)

    def stop(*_: object) -> None:
        consumer.stopping = True
        log.info("stopping after this batch")

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        consumer.run(arguments.keep_days)
    finally:
        inbox.close()
        log.info("%s", ", ".join(f"{count} {name}" for name, count in sorted(consumer.counts.items())) or "no messages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
