"""`cdc config diff --workers` beside the records that stages leave in Kafka."""

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from workers.app import FACTORIES
from workers.config_records import compare_records
from workers.engine.configuration import stage_config
from workers.kafka.access import kafka_access
from workers.settings.worker import Settings


def settings(kafka_bootstrap: str, partitions: int) -> Settings:
    return Settings(
        _env_file=None, environment="LOCAL", kafka_bootstrap_servers=kafka_bootstrap, app="compared",
        topic_prefix="compared.", partitions=partitions, source_slots=2, redaction_key="q7Kz0vRmB2xTfL9d",
    )  # fmt: skip


async def test_settings_that_workers_would_refuse_are_told_from_those_that_fit(kafka_bootstrap: str) -> None:
    ours = settings(kafka_bootstrap, 2)
    async with kafka_access(ours) as kafka:
        assert (await compare_records(ours, kafka)).without_record == ("bridge", "enrich", "publish")
        await kafka.admin.create_topics([NewTopic("compared.config", 1, 1)])
        app = FACTORIES["publish"](ours)
        record = stage_config(app, dict.fromkeys(app.source_topics, 2))
        async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
            await producer.send_and_wait("compared.config", record.encode(), key=b"compared-publish")
            same = await compare_records(ours, kafka)
            assert (same.compared, same.differences) == (("publish",), ())
            wider = await compare_records(settings(kafka_bootstrap, 3), kafka)
            assert {one.refused for one in wider.differences} == {True}
            assert any("compared.events has 3 partitions, the record says 2" in one.what for one in wider.differences)
            other = msgspec.structs.replace(record, fingerprint="another")
            await producer.send_and_wait("compared.config", other.encode(), key=b"compared-publish")
            (told,) = (await compare_records(ours, kafka)).differences
    assert (told.stage, told.refused) == ("publish", False)
