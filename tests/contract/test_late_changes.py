"""The enrich stage leaves late changes out, also after an aborted transaction and on a worker that has just started."""

from pathlib import Path

import pytest

from models.raw import Origin, raw_headers
from tests.unit.test_late_records import KEY, dynamodb
from workers.app import make_enrich
from workers.engine.testing import Input, StageKit
from workers.settings.worker import Settings

TABLES = """\
version: 1
tables:
  - {table: orders, entity: order, key: [order_id], owner: {org: [{column: org}]}, unknown_columns: publish}
"""
HEADERS = raw_headers(Origin("stream", "shardId-000000000002", "4967", 0, 1), adapter="dynamodb", table="orders")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "tables.yaml"
    path.write_text(TABLES)
    return Settings(_env_file=None, partitions=2, catalogue="none", tables=path)


def change(at: int, status: str, name: str = "MODIFY") -> Input:
    return Input(KEY, dynamodb(at, status, name), headers=HEADERS)


async def test_what_a_worker_knew_of_a_deleted_row_its_successor_knows(settings: Settings) -> None:
    async with StageKit(lambda: make_enrich(settings)) as kit:
        fault = kit.abort_next()
        assert await kit.feed("cdc.raw.core", [change(1, "new"), change(3, "new", "REMOVE")])
        assert fault.fired == 1
        await kit.restart()
        assert await kit.feed("cdc.raw.core", [change(2, "paid"), change(3, "new", "REMOVE"), change(4, "again")])
        statuses = [b'"status":{"new":"again"}' in (value or b"") for _, value in kit.output("cdc.events")]
        assert statuses == [False, False, True]
        assert not kit.output("cdc.dead")
