"""The publisher as a workload: its settings, the events it reads, and what its records look like from outside."""

import json
from pathlib import Path
from typing import Any

from models.routing import partition_of
from sandbox.chaos.history import History
from sandbox.chaos.plan import Plan
from sandbox.chaos.sink import refused
from sandbox.chaos.source import Source
from workers.settings.worker import Settings, load_settings

BUS = "chaos-bus"
STAGE = "publish"
LOOK_SECONDS = 1.0
"""Between two looks of the publisher at its bus."""
POISON = "poison"


def publish_settings(plan: Plan, bootstrap: str, data: Path, *, name: str | None = None) -> Settings:
    """Settings of a worker; where AWS and the bus are comes from the environment. Raises SettingsError."""
    workload = plan.workload
    given: dict[str, Any] = {
        "environment": "LOCAL", "kafka_bootstrap_servers": bootstrap, "partitions": workload.partitions,
        "source_slots": workload.partitions, "replication_factor": 1, "session_timeout": workload.session_timeout,
        "on_gap": workload.on_gap, "data_dir": data, "worker_name": name,
        "publish_window_records": workload.window_records, "preflight_interval": LOOK_SECONDS,
        "put_events_timeout": 4.0, "circuit": "5/1s/1",
    }  # fmt: skip
    return load_settings(given, env_file=None)


def event(key: str, uid: int, version: int) -> bytes:
    """An event of `cdc.events`; sequences grow, for every entity."""
    document = {
        "changes": {"Status": {"new": version, "old": version - 1}}, "entityId": key, "entityType": "users",
        "eventId": f"evt_{uid}_{version}", "eventType": "user.updated", "metadata": {"sequence": f"{uid:020}"},
        "operation": "UPDATE", "timestamp": "2026-01-15T10:31:00.000000Z",
    }  # fmt: skip
    return json.dumps(document, separators=(",", ":")).encode()


def poison(uid: int, version: int) -> bytes:
    """What no bus will ever take."""
    return f"{POISON}_{uid}_{version}".encode()


def numbers_of(name: str | None) -> str:
    """`uid:version` of an eventId, or of a poison record; `0:0` of anything else."""
    parts = (name or "").split("_")
    whole = len(parts) == 3 and parts[0] in ("evt", POISON) and parts[1].isdecimal() and parts[2].isdecimal()
    return f"{int(parts[1])}:{int(parts[2])}" if whole else "0:0"


def numbers_in(value: bytes | None) -> str:
    """The same of a record of `cdc.events`, `cdc.receipts` or `cdc.dead`."""
    try:
        return numbers_of(json.loads(value or b"")["eventId"])
    except (ValueError, KeyError, TypeError):
        return numbers_of((value or b"").decode(errors="replace"))


def uid_in(value: bytes | None) -> int:
    """0 if it is none of ours."""
    return int(numbers_in(value).partition(":")[0])


class EventSource(Source):
    """Puts events into `topic`, and poison among them; the plan's sink says how much of it."""

    def __init__(self, plan: Plan, bootstrap: str, history: History, topic: str) -> None:
        super().__init__(plan, bootstrap, history)
        self.topic = topic

    def _record(self, key: str, uid: int, version: int) -> dict[str, Any]:
        raw = f"users:{key}".encode()
        spoilt = refused(self.plan.seed, uid, self.plan.sink.refused)
        value = poison(uid, version) if spoilt else event(key, uid, version)
        return {"key": raw, "value": value, "partition": partition_of(raw, self.plan.workload.partitions)}
