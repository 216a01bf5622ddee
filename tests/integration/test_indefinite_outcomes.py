"""P1, P2: transactions whose outcome nobody knows, zombies, and errors that say nothing.

The stage reaches Kafka through a proxy that loses the answer of one EndTxn, or sends it after the next transaction has
begun. Whatever happens, every record is processed once, and a producer of an unclear outcome is never heard of again.
"""

import itertools
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from sandbox.kafka.proxy import Action, Fault
from tests.integration.counting import counting
from tests.integration.proxied import ProxiedKafka, kafka_forgot, kafka_says, proxied_kafka, write_denied
from tests.integration.stage import PARTITIONS, eventually, running
from workers.engine import runner, slot, slots
from workers.engine.slot import REINITS_PER_MINUTE
from workers.engine.slots import Slots

PRODUCERS = "*-slot-*"
"""Client ids of the slots' producers."""
SLOT_0 = "*-slot-0"
IN_A_TRANSACTION = ("AddPartitionsToTxn", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedKafka]:
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with proxied_kafka(tmp_path_factory.mktemp("proxied") / "kafka", properties) as started:
        yield started


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of a test, and as many re-initialisations as it has faults."""
    monkeypatch.setattr(slot, "COMMIT_TIMEOUT", 1.0)
    monkeypatch.setattr(slot, "OPEN_TIMEOUT", 1.0)
    monkeypatch.setattr(slot, "REINITS_PER_MINUTE", 1_000)
    monkeypatch.setattr(slots, "REJOIN_EVERY", 0.5)
    monkeypatch.setattr(runner, "CONFIGURATION_PAUSE", 0.2)


@pytest.mark.parametrize("then", ["cut", "hold"])
@pytest.mark.parametrize("action", ["drop_response", "drop_request"])
async def test_an_unanswered_request_ends_its_producer_and_loses_or_doubles_nothing(
    kafka: ProxiedKafka, tmp_path: Path, patient: None, action: Action, then: Any
) -> None:
    async with counting(kafka, tmp_path, request_timeout=5.0) as stage:
        for api in ("Produce", *IN_A_TRANSACTION):
            await stage.meets(Fault(api=api, action=action, then=then, client_id=PRODUCERS))
        await stage.assert_exactly_once()
        for fired in stage.proxy.fired:
            if (fired.api, then) != ("Produce", "cut"):  # sequence numbers tell a copy: aiokafka may send it again
                assert [one.api for one in stage.after(fired)] == [], f"after {fired.api}"
        assert stage.app.slots.stats.rejoins == 0


async def test_a_producer_id_whose_answer_is_lost_is_asked_for_again(
    kafka: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    async with counting(kafka, tmp_path) as stage:
        actions: tuple[Action, ...] = ("drop_response", "drop_request")
        thens: tuple[Literal["cut", "hold"], ...] = ("cut", "hold")
        for action, then in itertools.product(actions, thens):
            stage.proxy.fault(Fault(api="InitProducerId", action=action, then=then, client_id=PRODUCERS))
            await stage.meets(Fault(api="EndTxn", action="error", error_code=48, client_id=PRODUCERS))
        await stage.assert_exactly_once()
        assert [fired.api for fired in stage.proxy.fired] == ["EndTxn", "InitProducerId"] * 4
        assert stage.app.slots.stats.rejoins == 0


async def test_a_late_copy_of_a_commit_does_not_end_the_next_transaction(
    kafka: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    async with counting(kafka, tmp_path) as stage:
        await stage.meets(Fault(api="EndTxn", action="late_request", seconds=60, client_id=SLOT_0))
        # The next transaction gets no further than its records. The late commit must not make them visible.
        stage.proxy.fault(Fault(api="AddOffsetsToTxn", action="drop_request", then="hold", client_id=SLOT_0))
        await stage.put()
        await stage.fired(2)
        await stage.releases("EndTxn")
        await eventually(stage.all_committed)
        await stage.assert_exactly_once()
        assert [fired.api for fired in stage.proxy.fired] == ["EndTxn", "AddOffsetsToTxn"]


async def test_a_late_copy_of_an_offset_does_not_set_the_next_one_back(
    kafka: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    async with counting(kafka, tmp_path) as stage:
        await stage.meets(Fault(api="TxnOffsetCommit", action="late_request", seconds=60, client_id=SLOT_0))
        stage.proxy.fault(Fault(api="EndTxn", action="delay", seconds=60, client_id=SLOT_0))
        await stage.put()
        await stage.fired(2)
        await stage.releases("TxnOffsetCommit")
        await stage.releases("EndTxn")
        await stage.settled()
        await stage.assert_exactly_once()
        assert [fired.api for fired in stage.proxy.fired] == ["TxnOffsetCommit", "EndTxn"]


async def test_a_late_copy_of_records_is_not_written_again(kafka: ProxiedKafka, tmp_path: Path, patient: None) -> None:
    async with counting(kafka, tmp_path) as stage:
        await stage.meets(Fault(api="Produce", action="late_request", seconds=60, client_id=SLOT_0))
        stage.proxy.fault(Fault(api="EndTxn", action="delay", seconds=60, client_id=SLOT_0))
        await stage.put()
        await stage.fired(2)
        await stage.releases("Produce")
        await stage.releases("EndTxn")
        await stage.settled()
        await stage.assert_exactly_once()
        assert [fired.api for fired in stage.proxy.fired] == ["Produce", "EndTxn"]


async def test_a_late_copy_of_a_request_for_a_producer_id_costs_a_rejoin_at_most(
    kafka: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    async with counting(kafka, tmp_path) as stage:
        stage.proxy.fault(Fault(api="InitProducerId", action="late_request", seconds=60, client_id=SLOT_0))
        await stage.meets(Fault(api="EndTxn", action="error", error_code=48, client_id=SLOT_0))
        await stage.releases("InitProducerId")  # it fences the producer that has taken its place
        await stage.put()
        await stage.settled()
        await stage.assert_exactly_once()
        assert [fired.api for fired in stage.proxy.fired] == ["EndTxn", "InitProducerId"]
        assert stage.app.slots.stats.rejoins == 1


async def test_a_network_that_falls_silent_in_a_commit_is_waited_out(
    kafka: ProxiedKafka, tmp_path: Path, patient: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with counting(kafka, tmp_path, session_timeout=30.0) as stage:
        stage.blackhole_at = "EndTxn"
        await stage.put()
        # Beyond the deadline of the commit, and of some attempts to repair the slot.
        await eventually(lambda: _true(caplog.text.count("re-initialisation: TimeoutError") >= 2))
        stage.proxy.heal()
        await stage.settled()
        await stage.assert_exactly_once()
        assert stage.app.slots.stats.aborted >= 1
        assert stage.app.slots.stats.rejoins == 0


@pytest.mark.parametrize("commit_timeout", [60.0, 0.5], ids=["frozen-in-its-commit", "given-up-on-its-commit"])
async def test_a_zombie_whose_slots_were_given_away_commits_nothing(
    kafka: ProxiedKafka, tmp_path: Path, patient: None, monkeypatch: pytest.MonkeyPatch, commit_timeout: float
) -> None:
    monkeypatch.setattr(slot, "COMMIT_TIMEOUT", commit_timeout)
    async with counting(kafka, tmp_path, session_timeout=2.0) as zombie:
        zombie.blackhole_at = "EndTxn"
        await zombie.put()
        await eventually(lambda: _true(zombie.blackhole_at is None))
        heir = zombie.new_app(bootstrap=kafka.direct, data_dir=str(tmp_path / "heir"))
        async with running(heir):
            await zombie.settled(heir)
            zombie.proxy.heal()
            await eventually(lambda: _true(zombie.app.ready and len(zombie.app.slots.owned) == 1))
            await zombie.put()
            await zombie.settled(heir, zombie.app)
            await zombie.assert_exactly_once(heir, zombie.app)
            assert zombie.app.slots.stats.aborted >= 1


async def test_a_transaction_that_the_coordinator_timed_out_is_done_again_after_a_rejoin(
    kafka: ProxiedKafka, tmp_path: Path, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Slots.new_producer

    def impatient(self: Slots, index: int) -> Any:
        producer = make(self, index)
        producer._txn_manager.transaction_timeout_ms = 1_000
        return producer

    monkeypatch.setattr(Slots, "new_producer", impatient)
    monkeypatch.setattr(slot, "COMMIT_TIMEOUT", 60.0)
    async with counting(kafka, tmp_path) as stage:
        stage.proxy.fault(Fault(api="EndTxn", action="delay", seconds=60, client_id=SLOT_0))
        await stage.put()
        await stage.fired(1)
        await eventually(lambda: kafka_says(kafka, f"{stage.app.conf.id}-0", b"CompleteAbort"))
        stage.proxy.release()
        await stage.settled()
        await stage.assert_exactly_once()
        assert stage.app.slots.stats.rejoins == 1


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedKafka]:
    """A Kafka that forgets transactional ids which were idle for a second."""
    properties = {
        "transactional.id.expiration.ms": "1000",
        "transaction.remove.expired.transaction.cleanup.interval.ms": "100",
    }
    with proxied_kafka(tmp_path_factory.mktemp("forgetful") / "kafka", properties) as started:
        yield started


async def test_a_stage_that_was_idle_until_its_transactional_ids_expired_goes_on(
    forgetful: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    async with counting(forgetful, tmp_path) as stage:
        for index in range(PARTITIONS):
            await eventually(partial(kafka_forgot, forgetful, f"{stage.app.conf.id}-{index}"))
        before = stage.app.slots.stats.reinits
        await stage.put()
        await stage.settled()
        await stage.assert_exactly_once()
        assert stage.app.slots.stats.reinits > before
        assert stage.app.slots.stats.rejoins == 0


UNCLEAR = {-1: "UNKNOWN_SERVER_ERROR", 48: "INVALID_TXN_STATE", 87: "INVALID_RECORD", 90: "PRODUCER_FENCED"}
RETRIED = {14: "LOAD_IN_PROGRESS", 15: "NOT_AVAILABLE", 16: "NOT_COORDINATOR", 51: "CONCURRENT_TRANSACTIONS"}
"""Codes and names of https://kafka.apache.org/protocol#protocol_error_codes."""


async def test_an_error_that_says_nothing_leads_to_a_local_reinitialisation(
    kafka: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    async with counting(kafka, tmp_path) as stage:
        stats = stage.app.slots.stats
        for api, code, done in itertools.product(("AddOffsetsToTxn", "EndTxn"), UNCLEAR, (True, False)):
            fault = Fault(api=api, action="error", error_code=code, reaches_broker=done, client_id=PRODUCERS)
            fired = await stage.meets(fault)
            assert stage.after(fired) == [], f"after {UNCLEAR[code]} of {api}"
        await eventually(lambda: _true(stats.reinits >= 4 * len(UNCLEAR)))
        await stage.assert_exactly_once()
        assert len(stage.proxy.fired) == 4 * len(UNCLEAR)
        assert stats.rejoins == 0


async def test_an_error_of_a_busy_coordinator_is_waited_out(kafka: ProxiedKafka, tmp_path: Path, patient: None) -> None:
    apis = ("AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn")
    async with counting(kafka, tmp_path) as stage:
        stats = stage.app.slots.stats
        for api, code, done in itertools.product(apis, RETRIED, (True, False)):
            busy = Fault(api=api, action="error", error_code=code, times=5, reaches_broker=done, client_id=SLOT_0)
            await stage.meets(busy)
        await stage.assert_exactly_once()
        assert len(stage.proxy.fired) == 5 * len(apis) * len(RETRIED) * 2
        assert (stats.reinits, stats.rejoins) == (0, 0)


async def test_a_fenced_producer_rejoins_and_its_records_come_once(
    kafka: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    async with counting(kafka, tmp_path) as stage:
        cases = itertools.product(("AddOffsetsToTxn", "EndTxn"), (True, False))
        for number, (api, done) in enumerate(cases, 1):
            fault = Fault(api=api, action="error", error_code=47, reaches_broker=done, client_id=SLOT_0)
            fired = await stage.meets(fault)
            assert stage.app.slots.stats.rejoins == number
            assert stage.after(fired) == []
        await stage.assert_exactly_once()


async def test_a_permission_that_is_missing_pauses_the_slot_and_nobody_rejoins(
    kafka: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    refused = (("AddOffsetsToTxn", 30), ("AddOffsetsToTxn", 53), ("EndTxn", 53))
    async with counting(kafka, tmp_path) as stage:
        for (api, code), done in itertools.product(refused, (True, False)):
            fault = Fault(api=api, action="error", error_code=code, reaches_broker=done, client_id=SLOT_0)
            fired = await stage.meets(fault)
            assert stage.after(fired) == [], f"after {code} of {api}"
        await stage.assert_exactly_once()
        assert stage.app.slots.stats.rejoins == 0


async def test_a_stage_that_may_not_write_any_more_waits_for_its_permission(
    kafka: ProxiedKafka, tmp_path: Path, patient: None
) -> None:
    async with counting(kafka, tmp_path) as stage:
        stats = stage.app.slots.stats
        async with write_denied(kafka, stage.bench.topic("out")):
            await stage.put()
            await eventually(lambda: _true(stats.aborted >= 6))
            assert stats.inputs < stage.sent
        await stage.settled()
        await stage.assert_exactly_once()
        assert stats.rejoins == 0


async def test_a_producer_id_that_is_refused_again_and_again_is_no_reason_to_rejoin(
    kafka: ProxiedKafka, tmp_path: Path
) -> None:
    async with counting(kafka, tmp_path) as stage:
        for code, client in ((-1, SLOT_0), (47, "*-slot-1"), (53, SLOT_0), (51, "*-slot-1")):
            stage.proxy.fault(
                Fault(
                    api="InitProducerId", action="error", error_code=code, times=REINITS_PER_MINUTE + 1,
                    reaches_broker=False, client_id=client,
                )
            )  # fmt: skip
            await stage.meets(Fault(api="EndTxn", action="error", error_code=48, client_id=client))
        await stage.assert_exactly_once()
        assert len(stage.proxy.fired) == 4 * (1 + REINITS_PER_MINUTE + 1)
        assert stage.app.slots.stats.rejoins == 0


async def test_a_slot_whose_commits_all_fail_asks_for_a_rejoin_now_and_then(
    kafka: ProxiedKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "REJOIN_EVERY", 1.5)
    async with counting(kafka, tmp_path) as stage:
        started = time.monotonic()
        joined = stage.proxy.counts["JoinGroup"]
        fault = Fault(api="EndTxn", action="error", error_code=-1, times=None, client_id=SLOT_0, reaches_broker=False)
        stage.proxy.fault(fault)
        await stage.put()
        await stage.fired(2 * (REINITS_PER_MINUTE + 1))  # the first generation and the next one
        stage.proxy.heal()
        await stage.settled()
        await stage.assert_exactly_once()
        most = 1 + (time.monotonic() - started) / slots.REJOIN_EVERY
        assert 1 <= stage.proxy.counts["JoinGroup"] - joined <= most


async def _true(condition: bool) -> bool:
    return condition
