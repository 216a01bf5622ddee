"""Every metric the worker exposes, by name: what it counts, in which unit, with which labels. Nothing is counted here:
the values are read off the stages' own counters when somebody scrapes `/metrics`.

Labels name workers, stages, sources, shards, tables, lookups, buses and error codes; never a key, a value or anything
else of a record (P6). Tables are those of the catalogue. A series about a shard is there as long as this worker has the
shard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

PREFIX = "cdc_"


@dataclass(frozen=True, slots=True)
class Distribution:
    """Observations by upper bound, not added up: `counts` has one more entry than `bounds`, for what is above all."""

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float
    """Sum of all observations."""


@dataclass(frozen=True, slots=True)
class Metric:
    """`name` without the prefix; a counter's without `_total`, which every exposition adds."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The name as Prometheus stores it."""
        return f"{PREFIX}{self.name}" + ("_total" if self.kind == "counter" else "")

    def of(self, value: float | Distribution, *labels: str) -> "Sample":
        """A value for one set of labels, in the order of `self.labels`."""
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}")
        return Sample(self, labels, value)


@dataclass(frozen=True, slots=True)
class Sample:
    """One value at the moment of a scrape."""

    metric: Metric
    labels: tuple[str, ...]
    value: float | Distribution


STAGE, SOURCE, SHARD = ("stage",), ("source",), ("source", "shard")

OTHER_TABLES = "other"
"""Label of records that belong to no table of the catalogue: names that come from outside have no series."""

CONFIG_INFO = Metric(
    "config_info",
    "gauge",
    "1; its labels say which release runs here and with which tables.",
    ("version", "fingerprint"),
)
WORKER_INFO = Metric("worker_info", "gauge", "1; its label is the name of this worker.", ("worker",))
WORKER_LEFT = Metric(
    "worker_left_timestamp_seconds", "gauge", "When another worker said that it ends in order, seconds since the "
    "epoch; for 15 minutes. One that vanishes says nothing.", ("worker",),
)  # fmt: skip
LOOP_LAG = Metric(
    "loop_lag_seconds", "histogram", "How much later than asked for the event loop ran a task, looked at 4 times a "
    "second.", (),
)  # fmt: skip
E2E = Metric(
    "e2e_seconds", "histogram", "Seconds from the commit in the source database to the bus's answer that it has the "
    "event, each time it is sent; without what was redriven or replayed.", (),
)  # fmt: skip

STAGE_READY = Metric("stage_ready", "gauge", "1 if the stage has joined and every slot of it can work, else 0.", STAGE)
STAGE_RESTARTS = Metric("stage_restarts", "counter", "Times the stage crashed and was replaced in this process.", STAGE)
STAGE_SLOTS = Metric("stage_slots", "gauge", "Slots this worker holds.", STAGE)
STAGE_SLOTS_PLANNED = Metric(
    "stage_slots_planned", "gauge", "Slots the stage has in all, whoever holds them; no series before its first boot.",
    STAGE,
)  # fmt: skip
STAGE_SECONDS_BEHIND = Metric(
    "stage_seconds_behind", "gauge", "Age of the oldest record that waits for the stage or is worked on, on this "
    "worker; 0 if none does, no series while that is not known.", STAGE,
)  # fmt: skip
STAGE_RECORDS_BEHIND = Metric(
    "stage_records_behind", "gauge", "How many there are; transaction markers that were not read yet count, too.", STAGE
)
STAGE_HELD = Metric(
    "stage_held_partitions", "gauge", "Source partitions that are not read on now: for a lookup, a full window, or an "
    "operator.", STAGE,
)  # fmt: skip
STAGE_RECORDS = Metric(
    "stage_records", "counter", "Source records by what became of them, as the ledger calls it: out, dead or "
    "drop.REASON. The table is empty where a stage does not look at it, `other` for those nobody knows.",
    ("stage", "table", "outcome"),
)  # fmt: skip
STAGE_DURATION = Metric(
    "stage_duration_seconds", "histogram", "Seconds of a unit of work, from its begin to the end of its transaction.",
    STAGE,
)  # fmt: skip
RECOVERY_REMAINING = Metric(
    "recovery_remaining", "gauge", "Changelog records that are still to be read before the tables are whole.", STAGE
)
TXN_SECONDS = Metric("txn_seconds", "histogram", "Seconds the transaction of a unit of work took.", STAGE)
TXN_RECORDS = Metric("txn_records", "counter", "Source records whose transaction has committed.", STAGE)
TXN_ABORTS = Metric(
    "txn_aborts", "counter", "Transactions that failed and are done again: data, configuration, fenced or unclear.",
    ("stage", "reason"),
)  # fmt: skip
FENCED = Metric("fenced", "counter", "Slots found to have another owner, or a transaction that took too long.", STAGE)
GAPS = Metric("gaps", "counter", "Times records were found deleted before they were read.", STAGE)

DLQ_RECORDS = Metric("dlq_records", "counter", "Dead letters that were written, by error code.", ("stage", "code"))
DLQ_DEPTH = Metric(
    "dlq_depth", "gauge", "Dead letters that nobody has redriven or dropped, by the stage that wrote them, when they "
    "were counted last; 100,000 at most. Only at the worker that counts.", STAGE,
)  # fmt: skip
DLQ_DEPTH_AGE = Metric(
    "dlq_depth_age_seconds", "gauge", "Seconds since that count; it is made every minute, and fails without Kafka.", ()
)
TABLE_KEYS = Metric(
    "table_keys", "gauge", "Entries of a Faust table on this worker; lookups are whole on every worker, the others are "
    "spread over them.", ("table",),
)  # fmt: skip
LOOKUP = Metric(
    "lookup", "counter", "Events by where their owner was found: record, before, memory, table, database or missing.",
    ("table", "result"),
)  # fmt: skip
REDACTIONS = Metric(
    "redactions", "counter", "Columns of events that a rule or the policy for unknown columns took something from, by "
    "what was done.", ("action",),
)  # fmt: skip

SCHEMA_CHANGES = Metric(
    "schema_changes", "counter", "New, vanished and retyped columns and other keys that were reported, each once over "
    "all workers and restarts; told by the worker that holds the table's home slot.", ("table", "change"),
)  # fmt: skip
RETYPED_VALUES = Metric(
    "retyped_values", "counter", "Values that came as another kind than that of their column's type and were put "
    "right.", ("table",),
)  # fmt: skip

SOURCE_UP = Metric(
    "source_up", "gauge", "1 if the shards of the stream can be listed and it may be read; 0 if its service refuses or "
    "does not answer, or if it waits for an operator.", SOURCE,
)  # fmt: skip
SOURCE_SECONDS_BEHIND = Metric(
    "source_seconds_behind", "gauge",
    "How far behind the tip of the shard reading is. Grows while nothing can be read, whatever the reason.", SHARD,
)  # fmt: skip
SOURCE_RECORDS = Metric(
    "source_records", "counter", "Records of the shard that stand in Kafka, those of an aggregate one by one; counted "
    "in its checkpoint, so it goes on where another worker ended.", SHARD,
)  # fmt: skip
SOURCE_BYTES = Metric("source_bytes", "counter", "Bytes of data read.", SHARD)
SOURCE_CALLS = Metric("source_calls", "counter", "GetRecords and GetShardIterator calls.", SHARD)
SOURCE_THROTTLES = Metric("source_throttles", "counter", "Calls that were refused because there were too many.", SHARD)
SOURCE_ERRORS = Metric(
    "source_errors", "counter", "Calls that failed, by the error code of AWS; throttles and expired iterators too.",
    (*SHARD, "code"),
)  # fmt: skip
SOURCE_REBUILDS = Metric("source_iterator_rebuilds", "counter", "Iterators that expired and were made anew.", SHARD)
SOURCE_BLOCKED = Metric(
    "source_blocked_on_parents", "gauge", "Parents a shard waits for; one that is read has 0.", SHARD
)
SOURCE_STOPPED = Metric("source_stopped", "gauge", "1 if the shard waits for an operator, else 0.", SHARD)
SOURCE_LISTING_ERRORS = Metric(
    "source_listing_errors", "counter", "ListShards or DescribeStreamSummary calls that failed, by error code.",
    (*SOURCE, "code"),
)  # fmt: skip
SOURCE_KPL_FAILURES = Metric(
    "source_kpl_failures", "counter", "Aggregated records that could not be taken apart and were forwarded whole.",
    SOURCE,
)  # fmt: skip
SOURCE_BUFFERED = Metric("source_buffered_bytes", "gauge", "Bytes that are read or asked for and not committed.", ())
SOURCE_BUFFER_LIMIT = Metric("source_buffer_limit_bytes", "gauge", "Where reading stops until something commits.", ())

DATABASE_UP = Metric(
    "database_up", "gauge", "0 while the database behind the lookups does not answer and is left alone, else 1.", ()
)
DATABASE_QUERIES = Metric(
    "database_queries", "counter", "Queries for rows a lookup lacks: answered, failed or refused.",
    ("lookup", "outcome"),
)  # fmt: skip
DATABASE_SECONDS = Metric("database_query_seconds", "histogram", "Seconds a query took, however it ended.", ("lookup",))
DATABASE_ROWS = Metric(
    "database_rows", "counter", "Rows that were asked for: found, or missing.", ("lookup", "outcome")
)
DATABASE_CACHED = Metric(
    "database_cached", "counter", "Searches for an owner that ended at an answer given before: found, or missing.",
    ("lookup", "outcome"),
)  # fmt: skip
DATABASE_CIRCUIT_OPENED = Metric(
    "database_circuit_opened", "counter", "Times the database failed so often that it was left alone for a while.", ()
)
DATABASE_WAITING = Metric("database_rows_waiting", "gauge", "Rows that are wanted and not answered.", ())

BUS_SEEN = Metric(
    "bus_seen", "gauge", "1 if the bus was there when it was last looked for, 0 if it was missing: then nothing is "
    "sent to it.", ("bus",),
)  # fmt: skip
BUS_UNROUTED = Metric(
    "bus_unrouted_event_types", "gauge", "Event types that no enabled rule with a target takes; no series where "
    "the rules may not be read.", ("bus",),
)  # fmt: skip
FITTED = Metric(
    "events_fitted", "counter", "Events that were too large and were made to fit, by what did it: images, truncate or "
    "claim-check. One that comes into a window again is counted again.", ("bus", "step"),
)  # fmt: skip
BUS = ("bus",)
PUBLISH_BUS_UP = Metric(
    "publish_bus_up", "gauge", "0 while the bus does not answer and is left alone, or refuses everything, else 1.", BUS
)
PUBLISH_ENTRIES = Metric(
    "publish_entries", "counter", "Events by what the bus answered: delivered, refused for good, or again (each try "
    "counts).", (*BUS, "outcome"),
)  # fmt: skip
PUBLISH_SECONDS = Metric("publish_call_seconds", "histogram", "Seconds a request took, however it ended.", BUS)
PUBLISH_ERRORS = Metric(
    "publish_errors", "counter", "Events that were not accepted and are sent again, by error code.", (*BUS, "code")
)
PUBLISH_THROTTLES = Metric(
    "publish_throttles", "counter", "Requests that were throttled, or had an event that was.", BUS
)
PUBLISH_RATE = Metric(
    "publish_rate_limit", "gauge", "Requests per second this worker allows itself; absent without a quota and without "
    "throttles.", BUS,
)  # fmt: skip
PUBLISH_IN_FLIGHT = Metric("publish_in_flight", "gauge", "Requests on their way.", BUS)
PUBLISH_IN_FLIGHT_LIMIT = Metric("publish_in_flight_limit", "gauge", "How many there may be now.", BUS)
PUBLISH_CIRCUIT_OPENED = Metric(
    "publish_circuit_opened", "counter", "Times the bus failed so often that it was left alone for a while.", BUS
)
PUBLISH_REORDERED = Metric(
    "publish_reordered", "counter", "Events accepted before an earlier one of their entity; 0 unless CDC_PUBLISH_ORDER "
    "is batch.", BUS,
)  # fmt: skip
PUBLISH_WAITING = Metric("publish_waiting", "gauge", "Events in the windows: not sent yet, or not committed.", ())
PUBLISH_WAITING_BYTES = Metric("publish_waiting_bytes", "gauge", "The same in bytes.", ())
PUBLISH_OLDEST_SECONDS = Metric("publish_oldest_seconds", "gauge", "How long the oldest of them has been there.", ())
PUBLISH_STALLED = Metric(
    "publish_stalled_entities", "gauge", "Entities whose next event has failed all its quick tries; the others go on.",
    (),
)  # fmt: skip
PUBLISH_STALL_SECONDS = Metric(
    "publish_stall_seconds", "gauge", "How long the entity that fails longest has been failing.", ()
)

SINK = ("sink",)
ARCHIVE_UP = Metric(
    "archive_up", "gauge", "0 while the sink (s3, sqs, sns) does not take the dead letters that wait for it, else 1.",
    SINK,
)  # fmt: skip
ARCHIVE_LETTERS = Metric("archive_letters", "counter", "Dead letters that the sink has taken.", SINK)
ARCHIVE_ERRORS = Metric("archive_errors", "counter", "Calls of the sink that failed, by error code.", (*SINK, "code"))
ALERTS_HELD_BACK = Metric(
    "alerts_held_back", "gauge", "Dead letters that are counted and wait for the next message to the alert topic.", ()
)
ALERTS_SENT = Metric(
    "alerts_sent", "counter", "Messages to the alert topic about dead letters and gaps.", ("kind",)
)  # fmt: skip

HEALTH_STATE = Metric(
    "health_check_state", "gauge", "What the last check of a dependency found: 0 ok, 1 unknown, 2 degraded, 3 failed. "
    "Only at the worker that makes the checks.", ("check",),
)  # fmt: skip
HEALTH_AGE = Metric("health_check_age_seconds", "gauge", "Seconds since the last round of checks began.", ())
CANARY_SECONDS = Metric(
    "canary_seconds", "gauge", "From putting a canary on the stream to the receipt of its event; grows while one is "
    "under way for longer than the last one took.", SOURCE,
)  # fmt: skip
CANARIES = Metric("canaries", "counter", "Canaries by what the stream said: put, or failed.", (*SOURCE, "outcome"))
CLOUDWATCH_ERRORS = Metric("cloudwatch_errors", "counter", "Messages to CloudWatch that failed, by code.", ("code",))

METRICS = tuple(found for found in list(globals().values()) if isinstance(found, Metric))
