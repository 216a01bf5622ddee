"""Finds what is damaged, and computes what the tables have to hold. Writes nothing."""

from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from enrichers.recent import joined
from enrichers.state import NewerFormatError, Note, Remember
from models.outcome import Drop
from models.raw import raw_record_of
from workers.app import make_enrich
from workers.contract import enrich_pipeline, read_catalogue
from workers.engine.configuration import read_config, refuse_conflicts, stage_config
from workers.engine.errors import BootRefused
from workers.engine.ledger import REMADE, SKIPPED, Ledger
from workers.engine.offsets import log_bounds
from workers.failures import ConfigurationError
from workers.kafka.access import KafkaAccess
from workers.kafka.groups import committed_offsets
from workers.kafka.log_ranges import LogRange, in_order
from workers.kafka.logs import Tell
from workers.kafka.topics import MEMORY_TABLE, OWN_TABLES, PINS_TABLE, RECENT_TABLE, Topics, group_of
from workers.rebuild.changelogs import CLIENT, Changelogs, find_damage, look_at_changelogs, read_entries, topic_of
from workers.rebuild.image import Part, TableImage
from workers.rebuild.restore import STAGE, Mended, Rebuild, refuse_members
from workers.settings.worker import Settings

ASKED_FOR = "asked for"
OF_CHANGES = (MEMORY_TABLE, RECENT_TABLE)
"""Tables by which a change is known that was seen before."""


def tables_of(settings: Settings) -> tuple[str, ...]:
    """Names of all tables of the stage."""
    return (*read_catalogue(settings).lookups, *OWN_TABLES)


async def plan_rebuild(
    settings: Settings, kafka: KafkaAccess, forced: Collection[str], *, discard: bool, other_tables: bool = False,
    tell: Tell,
) -> Rebuild:  # fmt: skip
    """`forced`: rebuild these tables whether damaged or not. `discard`: begin with nothing instead of what is left.
    `other_tables`: tables.yaml may differ from the one the stage last ran with.

    Raises RefusedError while a worker runs, ConfigurationError, CommandError, KafkaError."""
    await refuse_members(settings, kafka)
    added = await _refuse_other_tables(settings, allowed=other_tables)
    return await _Planner(settings, kafka, discard, tell).plan(forced, added)


async def _refuse_other_tables(settings: Settings, *, allowed: bool) -> set[str]:
    """What the stage remembers of a row depends on its rules: without them it would be forgotten, unnoticed.

    Returns the raw topics it has never run with."""
    app = make_enrich(settings)
    record = await read_config(app)
    try:
        refuse_conflicts(app, record, stage_config(app, dict.fromkeys(_topics_of(app), settings.partitions)))
    except BootRefused as error:
        raise ConfigurationError(str(error)) from None
    if record is not None and record.fingerprint != app.fingerprint and not allowed:
        raise ConfigurationError(
            "the stage last ran with other tables than those configured here",
            hint="set CDC_TABLES and CDC_CATALOGUE as for the workers; --other-tables rebuilds with those of here",
        )
    return app.source_topics - record.sources.keys() if record is not None else set()


def _topics_of(app: Any) -> set[str]:
    return set(app.source_topics) | {table.changelog_topic_name for table in app.tables.values()}


class _Planner:
    def __init__(self, settings: Settings, kafka: KafkaAccess, discard: bool, tell: Tell) -> None:
        self.kafka = kafka
        self.discard = discard
        self.tell = tell
        self.partitions = settings.partitions
        catalogue = read_catalogue(settings)
        self.pipeline = enrich_pipeline(settings, catalogue)
        self.tables = (*catalogue.lookups, *OWN_TABLES)
        topics = Topics.of(settings)
        self.sources = {topic: name for name, topic in topics.raw.items()}
        self.redriven = topics.redrive[STAGE]
        self.group = group_of(settings, STAGE)
        self.ranges: dict[TopicPartition, LogRange] = {}
        self.since_ms: dict[TopicPartition, int] = {}
        self.records = 0

    async def plan(self, forced: Collection[str], added: Collection[str]) -> Rebuild:
        indexes = range(self.partitions)
        # What was redriven stands in raw, too, where it was for the first time: that is its place in the tables.
        sources = [TopicPartition(topic, index) for topic in (*self.sources, self.redriven) for index in indexes]
        offsets = await committed_offsets(self.kafka.connection, self.group, sources)
        # A source that was added since has fed no table yet, and its first boot waits for the tables to be whole.
        missing = [tp for tp in sources if tp not in offsets and tp.topic not in added]
        if missing:
            raise ConfigurationError(
                f"group {self.group} has no offset for {missing[0].topic}/{missing[0].partition}: nobody knows how far "
                "its tables should reach",
                hint="start the stage once, or set its offsets, then try again",
            )
        parts = [(table, index) for table in self.tables for index in indexes]
        changelogs_of = {part: TopicPartition(topic_of(self.group, part[0]), part[1]) for part in parts}
        bounds = await self._bounds([*offsets, *changelogs_of.values()])
        self.ranges = {
            tp: _range(tp, bounds[tp], entry) for tp, entry in offsets.items() if tp.topic != self.redriven
        }  # fmt: skip
        try:
            changelogs = await look_at_changelogs(
                self.kafka.connection, self.group, {part: bounds[tp] for part, tp in changelogs_of.items()}, self.tell
            )
            damage = {(table, index): ASKED_FOR for table in forced for index in indexes}
            damage |= find_damage(changelogs, offsets)
            mended = await self._mend(changelogs, damage) if damage else ()
        except NewerFormatError as error:
            raise ConfigurationError(str(error), hint="rebuild with the newest release that has run") from None
        return Rebuild(mended, self.ranges, self.since_ms, self.records, offsets, changelogs)

    async def _bounds(self, tps: list[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        consumer = AIOKafkaConsumer(**self.kafka.connection.client(CLIENT), isolation_level="read_committed")
        await consumer.start()
        try:
            return await log_bounds(consumer, tps)
        finally:
            await consumer.stop()

    async def _mend(self, changelogs: Changelogs, damage: Mapping[Part, str]) -> tuple[Mended, ...]:
        parts = [part for part in changelogs.bounds if part[0] not in OF_CHANGES or part in damage]
        left = await read_entries(self.kafka.connection, self.group, parts, self.partitions, self.tell)
        found = left.copy(part for part in parts if not (self.discard and part in damage))
        if any(table not in OF_CHANGES for table, _ in damage):
            await self._restore_lookups(found, damage)
        if any(table in OF_CHANGES for table, _ in damage):
            await self._restore_memory(found, damage)
        return tuple(_difference(left, changelogs, found, part, why) for part, why in sorted(damage.items()))

    async def _restore_lookups(self, found: TableImage, damage: Mapping[Part, str]) -> None:
        """Without the memory of the rows: by that, every change would be one that was sent again."""
        image = found.copy([part for part in found.parts if part[0] not in OF_CHANGES])
        await self._fold(image, "lookups")
        for part in damage:
            if part[0] not in OF_CHANGES:
                found.parts[part] = image.parts[part]

    async def _restore_memory(self, found: TableImage, damage: Mapping[Part, str]) -> None:
        """With lookups as they were at each record; an entry that came later than its row is taken from the end.

        The last changes begin with none, or every change would be one of them; what is left of them comes before."""
        kept = [part for part in found.parts if part[0] in (PINS_TABLE, MEMORY_TABLE)]
        image = found.copy(kept, later=found)
        await self._fold(image, "row memory")
        for part in damage:
            if part[0] == MEMORY_TABLE:
                found.parts[part] = image.parts[part]
            elif part[0] == RECENT_TABLE:
                found.parts[part] = joined(part[1], found.parts[part], image.parts[part])

    async def _fold(self, image: TableImage, doing: str) -> None:
        async for kafka_record in in_order(self.kafka.connection, self.ranges, self.tell, doing, client_id=CLIENT):
            record = raw_record_of(kafka_record, self.sources[kafka_record.topic])
            self.since_ms.setdefault(TopicPartition(record.topic, record.partition), record.timestamp_ms)
            self.records += 1
            image.partition = record.partition
            result = self.pipeline.run(record, image, patient=False)
            if isinstance(result.outcome, Drop) and result.outcome.reason in ("resent", "late"):
                # What is left of its memory knows the change, or a later one; what it gave to others, and that it is
                # one of the last, may be lost all the same.
                image.forgetful = True
                given = self.pipeline.run(record, image, patient=False).effects
                image.forgetful = False
                image.apply(effect for effect in given if isinstance(effect, Remember | Note))
            else:
                image.apply(result.effects)


def _difference(left: TableImage, changelogs: Changelogs, found: TableImage, part: Part, why: str) -> Mended:
    before, after = left.parts.get(part, {}), found.parts.get(part, {})
    put = {key: value for key, value in after.items() if before.get(key) != value}
    gone = [key for key in (*before, *changelogs.unreadable.get(part, ())) if key not in after]
    return Mended(*part, why, len(after) - len(put), put, tuple(gone))


def _range(tp: TopicPartition, bounds: tuple[int, int], committed: OffsetAndMetadata) -> LogRange:
    """A position beyond the end means that raw was truncated: what stood there is gone for good."""
    start, log_end = bounds
    ledger = Ledger.decode(committed.metadata)
    whole = (
        ledger.since is not None and start <= ledger.since and committed.offset <= log_end
        and not ledger.counts.get(SKIPPED) and not ledger.counts.get(REMADE)
    )  # fmt: skip
    end = min(committed.offset, log_end)
    return LogRange(tp, min(start, end), end, whole)
