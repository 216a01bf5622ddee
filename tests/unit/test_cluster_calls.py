"""What a worker believes of a call, and where it learns who the others are."""

import asyncio
import json
from collections.abc import Mapping

import pytest
from aiokafka.errors import KafkaConnectionError

from tests.unit.clock import Clock
from workers.cluster.calls import SignedCluster
from workers.cluster.directory import CACHED_SECONDS, GroupDirectory, Sight, address_of, peers_of
from workers.cluster.key import cluster_key
from workers.cluster.peers import Peer
from workers.cluster.signature import (
    NONCE,
    SIGNATURE,
    TIME,
    TO,
    WINDOW_SECONDS,
    Accepted,
    ClusterKey,
    Reception,
    Refusal,
    answer_signature,
    call_signature,
    derived_key,
)  # fmt: skip
from workers.failures import ConfigurationError
from workers.kafka.groups import GroupState, Member
from workers.settings.worker import load_settings

KEY, ME = b"k" * 32, "http://10.0.0.1:6066#one"
TARGET = "/internal/stages?a=1"


def call(
    clock: Clock, *, key: bytes = KEY, target: str = TARGET, to: str = ME, nonce: str = "n" * 32
) -> dict[str, str]:
    at = str(int(clock.now * 1000))
    return {TIME: at, NONCE: nonce, TO: to, SIGNATURE: call_signature(key, target, at, nonce, to)}


def reception(clock: Clock, *keys: bytes) -> Reception:
    return Reception(ClusterKey(keys or (KEY,)), ME, clock)


def test_a_call_that_is_signed_for_this_worker_is_accepted_once() -> None:
    clock = Clock()
    desk = reception(clock)
    assert desk.judge(TARGET, call(clock)) == Accepted(KEY, "n" * 32, ME)
    assert desk.judge(TARGET, call(clock)) is Refusal.REPEATED


@pytest.mark.parametrize("target", ["/internal/stages?a=2", "/internal/other?a=1", "/internal/stages"])
def test_a_signature_is_good_for_one_path_and_query(target: str) -> None:
    clock = Clock()
    assert reception(clock).judge(target, call(clock)) is Refusal.KEY


@pytest.mark.parametrize("name", [TIME, NONCE, TO, SIGNATURE])
def test_a_call_in_which_anything_was_changed_or_left_out_is_refused(name: str) -> None:
    clock = Clock()
    headers = call(clock)
    assert reception(clock).judge(TARGET, headers | {name: "0" * len(headers[name])}) is Refusal.KEY
    del headers[name]
    assert reception(clock).judge(TARGET, headers) is Refusal.KEY


def test_a_call_for_another_worker_is_not_answered_here() -> None:
    clock = Clock()
    assert reception(clock).judge(TARGET, call(clock, to="http://10.0.0.2:6066#two")) is Refusal.ADDRESSEE


@pytest.mark.parametrize("seconds", [-WINDOW_SECONDS - 1, WINDOW_SECONDS + 1])
def test_a_call_older_or_newer_than_the_window_is_refused(seconds: float) -> None:
    clock = Clock()
    headers = call(clock)
    clock.now += seconds
    assert reception(clock).judge(TARGET, headers) is Refusal.CLOCK


def test_a_nonce_is_remembered_for_as_long_as_its_call_is_good() -> None:
    clock = Clock()
    desk = reception(clock)
    ahead = Clock(clock.now + WINDOW_SECONDS)
    headers = call(ahead)
    assert isinstance(desk.judge(TARGET, headers), Accepted)
    clock.now += 2 * WINDOW_SECONDS
    assert isinstance(desk.judge(TARGET, call(clock, nonce="m" * 32)), Accepted)
    assert desk.judge(TARGET, headers) is Refusal.REPEATED


def test_while_keys_are_exchanged_calls_under_either_are_answered_under_theirs() -> None:
    clock = Clock()
    judged = reception(clock, KEY, b"o" * 32).judge(TARGET, call(clock, key=b"o" * 32))
    assert judged == Accepted(b"o" * 32, "n" * 32, ME)


def test_an_answer_is_signed_for_its_call_status_and_body() -> None:
    signed = answer_signature(KEY, "n", ME, 200, b"{}")
    others = {
        answer_signature(b"x" * 32, "n", ME, 200, b"{}"), answer_signature(KEY, "m", ME, 200, b"{}"),
        answer_signature(KEY, "n", "two", 200, b"{}"), answer_signature(KEY, "n", ME, 404, b"{}"),
        answer_signature(KEY, "n", ME, 200, b"[]"),
    }  # fmt: skip
    assert len(others | {signed}) == 6


def test_no_key_is_shown_by_what_holds_it() -> None:
    assert "kkkk" not in repr(ClusterKey((KEY,))) + repr(Accepted(KEY, "n", ME))


def test_the_cluster_key_is_the_set_one_else_derived_from_the_redaction_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_REDACTION_KEY", "0123456789abcdef")
    assert cluster_key(load_settings(env_file=None)) == ClusterKey((derived_key(b"0123456789abcdef"),))
    monkeypatch.setenv("CDC_CLUSTER_KEY", "c" * 32)
    assert cluster_key(load_settings(env_file=None)) == ClusterKey((b"c" * 32,))
    monkeypatch.setenv("CDC_CLUSTER_KEY", "c" * 31)
    with pytest.raises(ConfigurationError, match="less than 32 characters"):
        cluster_key(load_settings(env_file=None))


def member(id_: str, client: str, url: str | None) -> Member:
    return Member(id_, client, json.dumps({"url": url, "assignment": {}}).encode() if url else b"")


def test_the_stages_of_one_process_are_one_worker() -> None:
    one = address_of("http://127.0.0.1:6066", "one")
    groups = {
        "bridge": GroupState("Stable", (), entries=(member("1", "cdc-bridge", one),)),
        "enrich": GroupState("Stable", (), entries=(member("2", "cdc-enrich", one),)),
    }
    assert peers_of(groups, {}) == (Peer("one", "http://127.0.0.1:6066", ("bridge", "enrich")),)


def test_two_workers_on_loopback_of_different_machines_are_two() -> None:
    entries = tuple(member(n, n, address_of("http://127.0.0.1:6066", n)) for n in ("one", "two"))
    found = peers_of({"enrich": GroupState("Stable", (), entries=entries)}, {})
    assert [(peer.name, peer.url) for peer in found] == [(n, "http://127.0.0.1:6066") for n in ("one", "two")]


@pytest.mark.parametrize("name", ["pod-7f/x y", "wörker", "a#b"])
def test_a_name_of_any_letters_comes_back_as_it_was(name: str) -> None:
    entries = (member("1", "c", address_of("https://[fd00::1]:6066", name)),)
    assert peers_of({"enrich": GroupState("Stable", (), entries=entries)}, {}) == (
        Peer(name, "https://[fd00::1]:6066", ("enrich",)),
    )


def test_a_member_that_says_no_address_has_none_and_joins_the_worker_of_its_name() -> None:
    groups = {
        "enrich": GroupState("Stable", (), entries=(member("1", "one", address_of("http://h:1", "one")),)),
        "publish": GroupState("Stable", (), entries=(member("2", "one", None), member("3", "old", None))),
    }
    assert peers_of(groups, {}) == (Peer("old", None, ("publish",)), Peer("one", "http://h:1", ("enrich", "publish")))


@pytest.mark.parametrize("url", ["http://[broken", "http://h:99999999", "nowhere", "http://"])
def test_a_member_whose_address_is_none_hides_nobody(url: str) -> None:
    entries = (member("1", "odd", url), member("2", "two", address_of("http://h:1", "two")))
    assert peers_of({"enrich": GroupState("Stable", (), entries=entries)}, {}) == (
        Peer("odd", None, ("enrich",)), Peer("two", "http://h:1", ("enrich",)),
    )  # fmt: skip


class Kafka:
    """Groups as a test sets them."""

    def __init__(self, groups: Mapping[str, GroupState]) -> None:
        self.groups: Mapping[str, GroupState] | None = groups
        self.asked = 0

    async def __call__(self) -> Mapping[str, GroupState]:
        self.asked += 1
        if self.groups is None:
            raise KafkaConnectionError
        return self.groups


def test_who_the_workers_are_is_asked_once_in_three_seconds() -> None:
    async def looks() -> int:
        clock, kafka = Clock(), Kafka({})
        directory = GroupDirectory(kafka, clock)
        await asyncio.gather(*(directory.look() for _ in range(5)))
        assert kafka.asked == 1
        clock.now += CACHED_SECONDS + 0.1
        await directory.look()
        return kafka.asked

    assert asyncio.run(looks()) == 2


def test_during_a_rebalance_and_an_outage_the_workers_are_those_last_known() -> None:
    url = address_of("http://h:1", "one")

    async def looks() -> None:
        clock = Clock()
        kafka = Kafka({"enrich": GroupState("Stable", (), entries=(member("1", "one", url),))})
        directory = GroupDirectory(kafka, clock)
        known = await directory.look()
        clock.now += 10
        kafka.groups = {"enrich": GroupState("PreparingRebalance", (), entries=(member("1", "one", None),))}
        assert await directory.look() == known
        clock.now += 10
        kafka.groups = None
        away = await directory.look()
        assert away.peers == known.peers
        assert "Kafka does not say" in (away.trouble or "")

    asyncio.run(looks())


def test_a_worker_whose_address_its_group_forgot_is_still_one() -> None:
    class Groups:
        async def look(self) -> Sight:
            return Sight(
                (Peer("one", None, ("enrich",)), Peer("two", None, ("enrich",)), Peer("one", "http://10.0.0.9:6066"))
            )

    me, key = Peer("one", "http://10.0.0.1:6066", ("enrich",)), ClusterKey((KEY,))
    cluster = SignedCluster(me, "http://127.0.0.1:6066", Groups(), key, key, Clock())
    seen = asyncio.run(cluster.peers())
    assert [(peer.name, peer.url) for peer in seen] == [("one", me.url), ("two", None), ("one", "http://10.0.0.9:6066")]
