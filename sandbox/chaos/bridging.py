"""The bridge as a workload: its settings, its topics, and what its records look like from outside."""

import json
import zlib
from pathlib import Path
from typing import Any

from sandbox.chaos.plan import Plan
from workers.settings.worker import Settings, load_settings

STREAM = "chaos-stream"
BUS = "chaos-bus"
SLOTS = 8
"""Source slots: fewer than shards now and then, so that shards share some."""
ITERATOR_SECONDS = 5.0
"""How long iterators live, less than a freeze and a long backoff: they expire by themselves, too."""


def bridge_settings(plan: Plan, bootstrap: str, data: Path, *, name: str | None = None) -> Settings:
    """Settings of a worker; where AWS is comes from the environment. Raises SettingsError."""
    given: dict[str, Any] = {
        "environment": "LOCAL", "kafka_bootstrap_servers": bootstrap, "partitions": plan.workload.partitions,
        "source_slots": SLOTS, "replication_factor": 1, "session_timeout": plan.workload.session_timeout,
        "on_gap": plan.workload.on_gap, "data_dir": data, "worker_name": name, "kinesis_stream_name": STREAM,
    }  # fmt: skip
    if plan.workload.memory_budget:
        given["memory_budget"] = plan.workload.memory_budget
    return load_settings(given, env_file=None)


def change(row: int, uid: int, version: int, padding: int = 0) -> bytes:
    """An update of a built-in table, as DMS sends it; `padding` bytes of it say nothing."""
    padded = {"Notes": "." * padding} if padding else {}
    document = {
        "data": {"ID": row, "HomeOrgID": 3, "UserName": f"{uid}:{version}", "Status": "active", **padded},
        "metadata": {
            "timestamp": "2026-01-15T10:31:00Z", "record-type": "data", "operation": "update",
            "partition-key-type": "primary-key", "schema-name": "core", "table-name": "users",
        },
    }  # fmt: skip
    return json.dumps(document).encode()


def told_by(value: bytes | None) -> tuple[str, str]:
    """(key, `uid:version`) of what `change` made; (`?`, `0:0`) of anything else."""
    try:
        data = json.loads(value or b"")["data"]
        uid, version = data["UserName"].split(":")
        return f"row-{int(data['ID'])}", f"{int(uid)}:{int(version)}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "?", "0:0"


def uid_of(value: bytes | None) -> int:
    """0 if it is none of ours."""
    return int(told_by(value)[1].partition(":")[0])


def fingerprint(value: bytes | None) -> int:
    """CRC-32: whether two copies have the same bytes."""
    return zlib.crc32(value or b"")
