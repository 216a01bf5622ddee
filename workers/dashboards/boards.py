"""The dashboards: which questions they answer, with which metrics (workers/metrics.py)."""

from workers.dashboards.panel import Board, Limits, Panel, Query

RATE = "[5m]"


def _quantile(quantile: float, metric: str, *by: str) -> str:
    return f"histogram_quantile({quantile}, sum by ({', '.join(('le', *by))}) (rate(cdc_{metric}_bucket{RATE})))"


def _rate(metric: str, *by: str, where: str = "") -> str:
    grouped = f" by ({', '.join(by)})" if by else ""
    return f"sum{grouped} (rate(cdc_{metric}{where}{RATE}))"


OVERVIEW = Board(
    "overview", "overview",
    (
        Panel("Latency, p99", "From the commit in the database to the bus's answer.",
              (Query(_quantile(0.99, "e2e_seconds")),), "s", "stat", 6, Limits(30, 300)),
        Panel("Events per second", "What the buses took.",
              (Query(_rate("publish_entries_total", where='{outcome="delivered"}')),), "ops", "stat", 6),
        Panel("Dead letters, last hour", "`cdc dlq stats` says what they are.",
              (Query("sum(increase(cdc_dlq_records_total[1h])) or vector(0)"),), "short", "stat", 6, Limits(1, 100)),
        Panel("Behind, worst stage", "Age of the oldest record that waits. `cdc status` says which and why.",
              (Query("max(cdc_stage_seconds_behind) or max(cdc_source_seconds_behind)"),), "s", "stat", 6,
              Limits(60, 900)),
        Panel("Stages that are not ready", "Workers whose stage cannot work: `cdc status`.",
              (Query("sum by (stage) (1 - cdc_stage_ready)", "{{stage}}"),)),
        Panel("Behind by stage", "Seconds since the oldest record that waits was written.",
              (Query("max by (stage) (cdc_stage_seconds_behind)", "{{stage}}"),), "s"),
        Panel("Latency", "From the commit in the database to the bus's answer.",
              tuple(Query(_quantile(at, "e2e_seconds"), f"p{at * 100:g}") for at in (0.5, 0.95, 0.99)), "s"),
        Panel("Records by stage", "Source records whose transaction has committed.",
              (Query(_rate("txn_records_total", "stage"), "{{stage}}"),), "ops"),
        Panel("Outcomes", "What became of source records: out, dead, or why they were left out.",
              (Query(_rate("stage_records_total", "stage", "outcome"), "{{stage}} {{outcome}}"),), "ops"),
        Panel("Releases and tables", "More than one line: workers run different releases or tables.yaml.",
              (Query("count by (version, fingerprint) (cdc_config_info)", "{{version}} {{fingerprint}}"),)),
    ),
)  # fmt: skip

SOURCE = Board(
    "source", "sources",
    (
        Panel("Behind by source", "Against the tip of the shards. Retention is the end of it.",
              (Query("max by (source) (cdc_source_seconds_behind)", "{{source}}"),), "s"),
        Panel("Records per second", "That stand in Kafka.",
              (Query(_rate("source_records_total", "source"), "{{source}}"),), "ops"),
        Panel("Bytes per second", "Read from the streams.",
              (Query(_rate("source_bytes_total", "source"), "{{source}}"),), "Bps"),
        Panel("Throttles per second", "Reads that were refused because there were too many.",
              (Query(_rate("source_throttles_total", "source"), "{{source}}"),), "ops"),
        Panel("Errors per second", "By the error code of AWS.",
              (Query(_rate("source_errors_total", "source", "code"), "{{source}} {{code}}"),
               Query(_rate("source_listing_errors_total", "source", "code"), "listing {{source}} {{code}}")), "ops"),
        Panel("Streams that can be read", "0: its service refuses, does not answer, or it waits for an operator.",
              (Query("min by (source) (cdc_source_up)", "{{source}}"),)),
        Panel("Shards that wait", "For their parents, or for an operator.",
              (Query("sum by (source) (cdc_source_blocked_on_parents > bool 0)", "{{source}} for parents"),
               Query("sum by (source) (cdc_source_stopped)", "{{source}} for an operator"))),
        Panel("Buffer", "Bytes that are read and not committed, and where reading stops.",
              (Query("sum(cdc_source_buffered_bytes)", "read"), Query("sum(cdc_source_buffer_limit_bytes)", "limit")),
              "bytes"),
        Panel("Iterators made anew, aggregates that cannot be read", "Both should be rare.",
              (Query(_rate("source_iterator_rebuilds_total", "source"), "{{source}} iterators"),
               Query(_rate("source_kpl_failures_total", "source"), "{{source}} aggregates")), "ops"),
    ),
)  # fmt: skip

STAGES = Board(
    "stages", "stages",
    (
        Panel("Behind, in seconds", "Age of the oldest record that waits, by stage and worker.",
              (Query("max by (stage, instance) (cdc_stage_seconds_behind)", "{{stage}} {{instance}}"),), "s"),
        Panel("Behind, in records", "What waits.",
              (Query("sum by (stage) (cdc_stage_records_behind)", "{{stage}}"),)),
        Panel("Unit of work, p99", "From its begin to the end of its transaction.",
              (Query(_quantile(0.99, "stage_duration_seconds", "stage"), "{{stage}}"),), "s"),
        Panel("Transaction, p99", "Kafka's part of it.",
              (Query(_quantile(0.99, "txn_seconds", "stage"), "{{stage}}"),), "s"),
        Panel("Aborts per second", "data, configuration, fenced, unclear, or cancelled by a rebalance.",
              (Query(_rate("txn_aborts_total", "stage", "reason"), "{{stage}} {{reason}}"),), "ops"),
        Panel("Slots by worker", "Who holds how many, and how many there are.",
              (Query("sum by (stage, instance) (cdc_stage_slots)", "{{stage}} {{instance}}"),
               Query("max by (stage) (cdc_stage_slots_planned)", "{{stage}} in all"))),
        Panel("Partitions that are held", "For a lookup, a full window, or an operator.",
              (Query("sum by (stage) (cdc_stage_held_partitions)", "{{stage}}"),)),
        Panel("Crashes, fences, gaps in an hour", "A crash makes a new app; a gap is lost data.",
              (Query("sum by (stage) (increase(cdc_stage_restarts_total[1h]))", "{{stage}} crashes"),
               Query("sum by (stage) (increase(cdc_fenced_total[1h]))", "{{stage}} fenced"),
               Query("sum by (stage) (increase(cdc_gaps_total[1h]))", "{{stage}} gaps"))),
    ),
)  # fmt: skip

TABLES = Board(
    "tables", "tables and lookups",
    (
        Panel("Events by table", "Written to cdc.events.",
              (Query(_rate("stage_records_total", "table", where='{stage="enrich",outcome="out"}'), "{{table}}"),),
              "ops"),
        Panel("Left out or dead, by table", "Why records became no event.",
              (Query(_rate("stage_records_total", "table", "outcome", where='{stage="enrich",outcome!="out"}'),
                     "{{table}} {{outcome}}"),), "ops"),
        Panel("Where owners were found", "missing: the event has no organisation or user.",
              (Query(_rate("lookup_total", "result"), "{{result}}"),), "ops"),
        Panel("Events without an owner", "By table.",
              (Query(_rate("lookup_total", "table", where='{result="missing"}'), "{{table}}"),), "ops"),
        Panel("Entries of the tables", "Lookups are whole on every worker; the largest number is shown.",
              (Query("max by (table) (cdc_table_keys)", "{{table}}"),)),
        Panel("Recovery", "Changelog records that are still to be read.",
              (Query("sum by (stage, instance) (cdc_recovery_remaining)", "{{stage}} {{instance}}"),)),
        Panel("Redacted columns per second", "By what was done to them.",
              (Query(_rate("redactions_total", "action"), "{{action}}"),), "ops"),
        Panel("Changes of schemas, retyped values", "`cdc schema drift` names the columns.",
              (Query("sum by (table, change) (increase(cdc_schema_changes_total[1h]))", "{{table}} {{change}}"),
               Query("sum by (table) (increase(cdc_retyped_values_total[1h]))", "{{table}} retyped"))),
        Panel("Database behind the lookups, p99", "Seconds a query took.",
              (Query(_quantile(0.99, "database_query_seconds", "lookup"), "{{lookup}}"),), "s"),
        Panel("Database: queries and rows", "By how they ended; what waits.",
              (Query(_rate("database_queries_total", "outcome"), "queries {{outcome}}"),
               Query(_rate("database_rows_total", "outcome"), "rows {{outcome}}"),
               Query(_rate("database_cached_total", "outcome"), "known {{outcome}}"),
               Query("sum(cdc_database_rows_waiting)", "rows waiting"))),
    ),
)  # fmt: skip

SINK = Board(
    "sink", "buses and dead letters",
    (
        Panel("Events by answer", "delivered, refused for good, or again (each try counts).",
              (Query(_rate("publish_entries_total", "bus", "outcome"), "{{bus}} {{outcome}}"),), "ops"),
        Panel("Errors by code", "Of events that are sent again.",
              (Query(_rate("publish_errors_total", "bus", "code"), "{{bus}} {{code}}"),), "ops"),
        Panel("Request, p50 and p99", "However it ended.",
              tuple(Query(_quantile(at, "publish_call_seconds", "bus"), f"{{{{bus}}}} p{at * 100:g}")
                    for at in (0.5, 0.99)), "s"),
        Panel("Throttles per second, and the pace they leave", "Requests.",
              (Query(_rate("publish_throttles_total", "bus"), "{{bus}} throttles"),
               Query("sum by (bus) (cdc_publish_rate_limit)", "{{bus}} allowed")), "ops"),
        Panel("Requests on their way", "And how many there may be.",
              (Query("sum by (bus) (cdc_publish_in_flight)", "{{bus}}"),
               Query("sum by (bus) (cdc_publish_in_flight_limit)", "{{bus}} limit"))),
        Panel("Windows", "Events that are not sent or not committed.",
              (Query("sum(cdc_publish_waiting)", "events"), Query("sum(cdc_publish_stalled_entities)", "stalled"))),
        Panel("Oldest in a window", "And the entity that fails longest.",
              (Query("max(cdc_publish_oldest_seconds)", "oldest"),
               Query("max(cdc_publish_stall_seconds)", "stalled")), "s"),
        Panel("Buses", "1: it is there, and takes events.",
              (Query("min by (bus) (cdc_publish_bus_up)", "{{bus}} takes"),
               Query("min by (bus) (cdc_bus_seen)", "{{bus}} there"))),
        Panel("Dead letters per minute", "By stage and code.",
              (Query("sum by (stage, code) (rate(cdc_dlq_records_total[5m])) * 60", "{{stage}} {{code}}"),)),
        Panel("Open dead letters", "Neither redriven nor dropped, as counted in the last minute.",
              (Query("max by (stage) (cdc_dlq_depth)", "{{stage}}"),)),
        Panel("Archive", "Letters taken by S3, SQS and SNS, and errors.",
              (Query(_rate("archive_letters_total", "sink"), "{{sink}}"),
               Query(_rate("archive_errors_total", "sink", "code"), "{{sink}} {{code}}")), "ops"),
        Panel("Events that were made to fit", "By what did it.",
              (Query(_rate("events_fitted_total", "bus", "step"), "{{bus}} {{step}}"),), "ops"),
        Panel("Event types that no rule takes", "They are delivered to nobody.",
              (Query("max by (bus) (cdc_bus_unrouted_event_types)", "{{bus}}"),)),
    ),
)  # fmt: skip

RUNTIME = Board(
    "runtime", "processes",
    (
        Panel("CPU", "Cores per worker.",
              (Query(f"rate(process_cpu_seconds_total{RATE}) and on (instance) cdc_config_info", "{{instance}}"),)),
        Panel("Memory", "Resident.",
              (Query("process_resident_memory_bytes and on (instance) cdc_config_info", "{{instance}}"),), "bytes"),
        Panel("Event loop, p99", "How much later than asked for a task ran.",
              (Query(_quantile(0.99, "loop_lag_seconds", "instance"), "{{instance}}"),), "s"),
        Panel("Files", "Open descriptors.",
              (Query("process_open_fds and on (instance) cdc_config_info", "{{instance}}"),)),
        Panel("Age of the process", "A short one, again and again: it is being restarted.",
              (Query("time() - process_start_time_seconds and on (instance) cdc_config_info", "{{instance}}"),), "s"),
        Panel("Stage crashes in an hour", "Each makes a new app in the same process.",
              (Query("sum by (instance, stage) (increase(cdc_stage_restarts_total[1h]))", "{{instance}} {{stage}}"),)),
    ),
)  # fmt: skip

BOARDS = (OVERVIEW, SOURCE, STAGES, TABLES, SINK, RUNTIME)
