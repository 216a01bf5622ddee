"""The private names of Faust, mode and aiokafka that the engine touches: a release that changes one is told here."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import aiokafka
import faust
import mode
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState, TopicPartitionState
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator, MessageBatch
from aiokafka.producer.sender import BaseHandler, Sender, SendProduceReqHandler
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.protocol.api import RequestStruct
from aiokafka.protocol.produce import ProduceRequest
from faust.tables import recovery as faust_recovery
from faust.tables.manager import TableManager
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from mode.utils.queues import FlowControlEvent

from tests.unit.private_sources import digests, recorded
from workers.engine.app import StageApp
from workers.engine.tables import GlobalTable, PartitionedStore, Table
from workers.engine.transport import Consumer

TOUCHED: list[tuple[Any, tuple[str, ...]]] = [
    (aiokafka.AIOKafkaConsumer, ("_client", "_closed", "_coordinator", "_fetcher", "_group_id")),
    (AIOKafkaAdminClient, ("_send_request",)),
    (AIOKafkaConnection, ("_sasl_oauth_token_provider", "authenticator_oauth", "connect", "send")),
    (OAuthAuthenticator, ("step",)),
    (AIOKafkaClient, ("close", "send", "set_topics")),
    (aiokafka.AIOKafkaProducer, ("_message_accumulator", "_txn_manager", "client")),
    (BatchBuilder, ("_build", "_set_producer_state", "append", "close", "closed", "record_count", "size")),
    (MessageAccumulator, ("_batch_size", "_batches", "_compression_type", "create_builder")),
    (
        MessageBatch,
        ("_drain_waiter", "append", "drain_ready", "future", "get_data_buffer", "is_empty", "record_count",
         "remaining_linger", "set_producer_state"),
    ),
    (ProduceRequest, ("_required_acks", "_timeout", "_topics", "_transactional_id", "build")),
    (SendProduceReqHandler, ("create_request",)),
    (RequestStruct, ("build_request_header",)),
    (TransactionManager, ("wait_for_transaction_end",)),
    (Fetcher, ("_closed", "_create_fetch_waiter", "_isolation_level", "_records", "_subscriptions", "fetched_records")),
    (FetchResult, ("_partition_records",)),
    (GroupCoordinator, ("_send_req", "coordinator_dead", "ensure_coordinator_known", "request_rejoin")),
    (SubscriptionState, ("_last_fetch_ended", "fetch_context", "reassignment_in_progress", "subscription")),
    (TopicPartitionState, ("has_valid_position", "pause", "paused", "position", "resume")),
    (
        faust_consumer.Consumer,
        ("_active_partitions", "callback", "can_resume_flow", "flow_active", "on_buffer_drop", "on_buffer_full",
         "perform_seek", "suspend_flow", "wait_empty"),
    ),
    (faust_consumer.ThreadDelegateConsumer, ("_new_consumer_thread", "_thread")),
    (driver.Consumer, ("_new_consumer_thread", "consumer_stopped_errors")),
    (
        driver.AIOKafkaConsumerThread,
        ("_create_worker_consumer", "_ensure_consumer", "_seek_wait", "thread_loop"),
    ),
    (faust.App, ("BootStrategy", "_consumer", "consumer_generation_id", "flow_control", "rebalancing")),
    (faust.Agent, ("_actor_by_partition", "on_isolated_partitions_revoked", "supervisor")),
    (faust.Topic, ("_compile_decode",)),
    (faust.Table, ("_new_store", "apply_changelog_batch", "on_rebalance", "on_recovery_completed", "persisted_offset")),
    (faust_recovery.Recovery, ("_wait", "signal_recovery_start")),
    (TableManager, ("_changelogs", "_recovery", "changelog_topics")),
    (FlowControlEvent, ("_resume", "_suspend")),
    (mode.Service, ("_crashed", "_stopped", "wait_first")),
    (mode.Worker, ("_schedule_shutdown", "execute_from_commandline")),
]  # fmt: skip

VERSIONS = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0"}

DELIBERATE = {
    Consumer: {
        "__init__", "_drain_messages", "_new_consumer_thread", "commit", "on_buffer_drop", "on_buffer_full",
        "on_partitions_assigned", "on_partitions_revoked", "perform_seek", "wait_empty",
    },
    StageApp: {"BootStrategy", "__init__", "flow_control", "on_first_start", "on_stop"},
}  # fmt: skip

OVERRIDDEN: list[tuple[Any, tuple[str, ...]]] = [
    (driver.Consumer, tuple(sorted(DELIBERATE[Consumer]))),
    (faust.App, tuple(sorted(DELIBERATE[StageApp]))),
    (GroupCoordinator, ("_on_join_prepare", "_on_join_complete", "_do_rejoin", "request_rejoin")),
    (Fetcher, ("fetched_records", "_fetch_requests_routine", "_proc_fetch_request")),
    (PartitionRecords, ("_consumer_record", "_unpack_records")),
    (BaseHandler, ("do",)),
    (Sender, ("_fail_all", "_sender_routine")),
    (aiokafka.AIOKafkaProducer, ("stop",)),
    (
        faust_recovery.Recovery,
        ("_build_offsets", "_restart_recovery", "_seek_offsets", "_slurp_changelogs", "on_recovery_completed"),
    ),
]
"""What the engine overrides, and the flows it leans on without naming them."""

ENGINE = Path(__file__).parents[2] / "workers" / "engine"


def has(owner: Any, name: str) -> bool:
    """Whether the class has the name, or sets it on its instances."""
    if hasattr(owner, name):
        return True
    bases = [base for base in owner.__mro__ if base.__module__.split(".")[0] in {"aiokafka", "faust", "mode"}]
    # Function by function: for a class inspect parses the module, which fails now and then on Python 3.11 beside other
    # threads (python/cpython#106905).
    sources = [inspect.getsource(found) for base in bases for found in vars(base).values() if inspect.isfunction(found)]
    return any(f"self.{name}" in source or f'"{name}"' in source for source in sources)


@pytest.mark.parametrize("owner", [owner for owner, _ in TOUCHED], ids=lambda owner: owner.__qualname__)
def test_every_private_name_the_engine_touches_still_exists(owner: Any) -> None:
    names = next(names for found, names in TOUCHED if found is owner)
    assert [name for name in names if not has(owner, name)] == []


def test_no_function_the_engine_leans_on_has_changed() -> None:
    """Names the functions to read again after a bump; then `python -m tests.unit.private_sources`."""
    now, then = digests([*TOUCHED, *OVERRIDDEN]), recorded()
    assert sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name)) == []


def test_every_private_name_in_the_engines_source_is_listed() -> None:
    listed = {name for _, names in TOUCHED for name in names}
    found: dict[str, str] = {}
    for path in sorted(ENGINE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                mine = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls", "os"}
                if not mine:
                    found.setdefault(node.attr, f"{path.name}:{node.lineno}")
    ours = {name for path in ENGINE.glob("*.py") for name in re.findall(r"(?:def |self\.)(_\w+)", path.read_text())}
    assert {name: where for name, where in found.items() if name not in listed | ours} == {}


def test_the_versions_the_engine_was_proven_with_are_installed() -> None:
    from importlib.metadata import version

    assert {name: version(name) for name in VERSIONS} == VERSIONS


def test_transports_are_still_found_by_alias() -> None:
    assert isinstance(TRANSPORTS.aliases, dict)


@pytest.mark.parametrize("ours", [Consumer, StageApp], ids=lambda ours: ours.__name__)
def test_no_name_of_ours_shadows_one_of_fausts_by_accident(ours: Any) -> None:
    """Faust's attribute names collide silently: a method `_gap` was shadowed by a dict and took the process down."""
    theirs = ours.__mro__[1]
    made_by_mode = {"logger", "__module__", "__doc__", "__annotations__", "__abstractmethods__", "_abc_impl"}
    ignored = made_by_mode | {"__firstlineno__", "__static_attributes__", "__parameters__"} | DELIBERATE[ours]
    defined = {name for name in set(vars(ours)) - ignored if hasattr(theirs, name)}
    source = inspect.getsource(ours)
    assigned = {name for name in dir(theirs) if re.search(rf"self\.{name}(: [^=\n]+)? = ", source)} - {"log"}
    assert (defined, assigned) == (set(), set())


@pytest.mark.parametrize("ours", [Table, GlobalTable])
def test_tables_still_make_our_store(ours: Any) -> None:
    assert ours._new_store.__qualname__.startswith("TransactionalTable")
    assert PartitionedStore.persisted_offset is not None
