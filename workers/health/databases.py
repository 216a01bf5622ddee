"""Databases: what RDS says of instances and clusters, and whether PostgreSQL answers. Source: RDS user guide, "Viewing
Amazon RDS DB instance status", "Viewing DB cluster status"."""

import asyncio
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from models.infrastructure import DatabaseInstanceStatus
from workers.aws.client import Session
from workers.aws.errors import AwsError
from workers.database.connection import connect, sort_error
from workers.database.failures import DatabaseDenied
from workers.failures import CommandError, DeniedError
from workers.health.verdicts import State, Verdict, failed, of_error, ok
from workers.settings.health import RDS_NAME
from workers.settings.secrets import database_dsn
from workers.settings.worker import Settings

AVAILABLE = DatabaseInstanceStatus.AVAILABLE
UNAVAILABLE = DatabaseInstanceStatus.UNAVAILABLE
SERVING = frozenset({
    "backing-up", "backtracking", "configuring-enhanced-monitoring", "configuring-iam-database-auth",
    "configuring-log-exports", "modifying", "storage-config-upgrade", "storage-initialization", "storage-optimization",
    "delete-precheck", "migrating", "promoting", "cloning", "scaling-storage", "scaling-compute",
})  # fmt: skip
"""Statuses of a database that answers while something is done to it."""


def region_of_database(name: str) -> str | None:
    """The region an ARN names."""
    found = RDS_NAME.fullmatch(name)
    return found["region"] if found is not None else None


async def check_rds(session: Session, name: str) -> list[Verdict]:
    """`name`: as CDC_HEALTH_RDS has it."""
    found = RDS_NAME.fullmatch(name)
    cluster = found is not None and "cluster" in (found["kind"], found["what"])
    plain = found["id"] if found is not None else name
    try:
        if cluster:
            answer = await session.cold("rds", "describe_db_clusters", DBClusterIdentifier=plain)
            (described,) = answer["DBClusters"]
        else:
            answer = await session.cold("rds", "describe_db_instances", DBInstanceIdentifier=plain)
            (described,) = answer["DBInstances"]
    except AwsError as error:
        permission = "rds:DescribeDBClusters" if cluster else "rds:DescribeDBInstances"
        return [of_error("rds", name, error, permission)]
    return [judge_database(name, _status(described))]


def _status(described: dict[str, Any]) -> str:
    return str(described.get("DBInstanceStatus") or described.get("Status") or "")


def judge_database(name: str, status: str) -> Verdict:
    """`status`: as RDS words it."""
    if status == "available":
        return ok("rds", name, status, AVAILABLE)
    if status in SERVING:
        action = "nothing, unless it stays so"
        return Verdict("rds", name, State.DEGRADED, f"it is {status}, and serves", action, word=AVAILABLE)
    action = "sources and lookups wait until it is available; its events in RDS say why"
    return failed("rds", name, f"it is {status or 'in no state'}", action, UNAVAILABLE)


async def check_postgres(settings: Settings) -> list[Verdict]:
    """One connection, and SELECT 1. A password that is refused is read again where it stands, once."""
    subject = "DATABASE_URL"
    found = failed("postgres", subject, "", "")
    for again in (False, True):
        try:
            await _select_one(await asyncio.to_thread(database_dsn, settings, again=again), settings.database_timeout)
        except CommandError as error:
            return [replace(found, reason=str(error), action=error.hint, denied=isinstance(error, DeniedError))]
        except Exception as error:  # noqa: BLE001  what asyncpg raises has many roots
            told = sort_error(error)
            if not isinstance(told, DatabaseDenied):
                action = "lookups that need it wait, nothing is lost; `cdc check` says more"
                return [failed("postgres", subject, f"no answer ({told.code})", action, UNAVAILABLE)]
            reason, action = f"it does not let us in ({told.code})", "check user and password"
            found = Verdict("postgres", subject, State.FAILED, reason, action, denied=True, word=UNAVAILABLE)
        else:
            return [ok("postgres", subject, "it answers", AVAILABLE)]
    return [found]


async def _select_one(dsn: SecretStr, seconds: float) -> None:
    connection = await connect(dsn, seconds)
    try:
        await connection.fetchval("SELECT 1", timeout=seconds)
    finally:
        connection.terminate()
