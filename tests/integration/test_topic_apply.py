"""`cdc topics apply` on a real Kafka: what it makes, what it mends, and what it leaves alone."""

import pytest
from aiokafka.admin import NewTopic

from tests.integration.stage import eventually
from workers.failures import NotFoundError
from workers.kafka.access import kafka_access
from workers.kafka.topic_apply import apply_changes, look_at_topics
from workers.kafka.topic_changes import Action
from workers.kafka.topic_configs import topic_configs
from workers.settings.worker import Settings


async def test_topics_are_created_and_mended_once_and_nothing_else_is_touched(kafka_bootstrap: str) -> None:
    settings = Settings(
        _env_file=None, environment="LOCAL", kafka_bootstrap_servers=kafka_bootstrap, app="applied",
        topic_prefix="applied.", partitions=2, source_slots=2,
    )  # fmt: skip
    async with kafka_access(settings) as kafka:
        own = {"retention.ms": "1000", "retention.bytes": "5000000", "compression.type": "gzip"}
        await kafka.admin.create_topics([
            NewTopic("applied.events", 3, 1, topic_configs=own),
            NewTopic("applied.checkpoints", 2, 1, topic_configs={"retention.ms": "99000"}),
        ])  # fmt: skip
        found = await look_at_topics(settings, kafka)
        assert {change.topic for change in found.of(Action.BY_HAND)} == {"applied.events"}
        await apply_changes(kafka, found)

        async def only_partitions_differ() -> bool:  # brokers hear of a change a moment after it was acknowledged
            left = (await look_at_topics(settings, kafka)).changes
            return [(change.topic, change.setting) for change in left] == [("applied.events", "partitions")]

        await eventually(only_partitions_differ)
        configs = await topic_configs(kafka.admin, ["applied.events", "applied.checkpoints"])
        await apply_changes(kafka, found)  # as if another operator had done the same meanwhile
        await eventually(only_partitions_differ)
        with pytest.raises(NotFoundError):
            await kafka.require({"applied.unplanned": 1})
    events, checkpoints = configs["applied.events"], configs["applied.checkpoints"]
    assert events is not None
    assert checkpoints is not None
    assert (events["retention.ms"], events["retention.bytes"]) == (str(7 * 86_400_000), "-1")
    assert events["compression.type"] == "gzip", "a setting that the plan does not know is kept"
    assert (checkpoints["cleanup.policy"], checkpoints["retention.ms"]) == ("compact", "99000")
