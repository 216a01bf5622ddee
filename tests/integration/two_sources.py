"""A pipeline of two sources, each with a raw topic of its own: `core` and `orders`."""

from pathlib import Path

import pytest

from sandbox.world import World
from tests.integration.pipeline import Pipeline
from tests.integration.stage import eventually
from workers.kafka.access import kafka_access
from workers.kafka.topics import Topics, describe_topics
from workers.settings.worker import load_settings

SECOND = "orders"


class TwoSources(Pipeline):
    """`raw` is the topic of `core`, `second` that of `orders`."""

    def __init__(
        self, world: World, directory: Path, monkeypatch: pytest.MonkeyPatch, second: str = "orders-stream"
    ) -> None:  # fmt: skip
        """`second`: more of the file's entry, after `stream:`."""
        super().__init__(world, directory, monkeypatch)
        self.file = directory / "sources.yaml"
        self.configure(f"{self.environment['KINESIS_STREAM_NAME']}", second)
        self.environment["CDC_SOURCES"] = str(self.file)
        monkeypatch.setenv("CDC_SOURCES", str(self.file))
        self.read_again()
        self.second = self.topics.raw[SECOND]

    def configure(self, core: str, second: str | None) -> None:
        """Write the file; `core` and `second` follow `stream:`, without a second one there is one source."""
        lines = ["version: 1", "sources:", "  - name: core", f"    stream: {core}"]
        if second is not None:
            lines += [f"  - name: {SECOND}", f"    stream: {second}"]
        self.file.write_text("\n".join(lines) + "\n")

    def read_again(self) -> None:
        """Settings of the file as it is now."""
        self.settings = load_settings()
        self.topics = Topics.of(self.settings)

    async def make_topics(self) -> None:
        """Return when the broker knows of them, which it does a moment after it has said so."""
        await super().make_topics()
        names = [*self.topics.raw.values(), self.topics.events]
        async with kafka_access(self.settings) as kafka:

            async def known() -> bool:
                return all(state.partitions for state in (await describe_topics(kafka.admin, names)).values())

            await eventually(known)

    async def has_read_both(self, first: int, second: int) -> None:
        """Wait until enrich has counted so many inputs of each source."""
        await self.has_read("enrich", self.raw, first)
        await self.has_read("enrich", self.second, second)
