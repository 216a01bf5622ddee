"""A stage does not begin before it knows what operators hold back, on a real Kafka."""

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from workers.app import now_ms
from workers.engine.app import StageApp
from workers.engine.errors import BootRefused
from workers.engine.options import EngineOptions
from workers.failures import NotFoundError
from workers.kafka.access import kafka_access
from workers.pauses import watch
from workers.pauses.watch import PauseWatch
from workers.pauses.writing import refuse_off
from workers.settings.worker import Settings


async def test_a_stage_without_the_topic_of_pauses_is_refused_and_begins_when_it_is_there(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        _env_file=None, environment="LOCAL", kafka_bootstrap_servers=kafka_bootstrap, app="unpaused",
        topic_prefix="unpaused.",
    )  # fmt: skip
    app = PauseWatch(settings, "worker", now_ms).govern("enrich", StageApp("enrich", EngineOptions(kafka_bootstrap, 2)))
    know, leave = app.before_boot[-1], app.on_end[-1]
    try:
        with monkeypatch.context() as hurry:
            hurry.setattr(watch, "BOOT_SECONDS", 0.5)
            with pytest.raises(BootRefused, match=r"unpaused\.pauses does not exist, .* `cdc topics apply` makes it"):
                await know()
        async with kafka_access(settings) as kafka:
            await kafka.admin.create_topics([NewTopic("unpaused.pauses", 1, 1)])
        with monkeypatch.context() as hurry:
            hurry.setattr(watch, "BOOT_SECONDS", 60.0)
            await know()
        assert app.brake.told == {}
        with monkeypatch.context() as hurry:  # it is there, and not read yet: the boot tries again
            hurry.setattr(watch, "BOOT_SECONDS", -1.0)
            with pytest.raises(KafkaError, match="cannot be read yet"):
                await know()
    finally:
        await leave()


async def test_a_stage_that_is_off_is_not_paused_unless_a_worker_has_it_all_the_same(kafka_bootstrap: str) -> None:
    settings = Settings(
        _env_file=None, environment="LOCAL", kafka_bootstrap_servers=kafka_bootstrap, app="unarchived",
        topic_prefix="unarchived.",
    )  # fmt: skip
    async with kafka_access(settings) as kafka:
        await refuse_off(settings, kafka, "publish")
        with pytest.raises(NotFoundError, match="archive is off") as refused:
            await refuse_off(settings, kafka, "archive")
        assert "DLQ_ARCHIVE_BUCKET" in refused.value.hint
        await refuse_off(settings.model_copy(update={"archive_bucket": "letters"}), kafka, "archive")
        await kafka.admin.create_topics([NewTopic("unarchived.dead", 1, 1)])
        member = AIOKafkaConsumer("unarchived.dead", group_id="unarchived-archive", bootstrap_servers=kafka_bootstrap)
        async with member:
            await refuse_off(settings, kafka, "archive")
