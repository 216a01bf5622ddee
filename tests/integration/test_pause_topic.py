"""A stage does not begin before it knows what operators hold back, on a real Kafka."""

import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from workers.app import now_ms
from workers.engine.app import StageApp
from workers.engine.errors import BootRefused
from workers.engine.options import EngineOptions
from workers.kafka.access import kafka_access
from workers.pauses import watch
from workers.pauses.watch import PauseWatch
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
