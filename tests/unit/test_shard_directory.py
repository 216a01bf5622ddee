"""What AWS says of a stream, and when a shard counts as gone."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.clock import Clock
from workers.aws.errors import AwsError, AwsThrottled, AwsUnavailable
from workers.kinesis import directory as module
from workers.kinesis.directory import ShardDirectory, missing_parents
from workers.kinesis.pages import shard_of

SPACE = 1 << 128


class Aws:
    """Answers of boto3, page by page."""

    def __init__(self, *pages: list[str]) -> None:
        self.pages = list(pages)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failing: AwsError | None = None
        self.halved: set[str] = set()
        self.expiring = 0

    async def ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        self.calls.append((method, arguments))
        if self.failing is not None:
            raise self.failing
        if method in self.halved:
            self.halved.remove(method)
            return {}
        if "NextToken" in arguments and self.expiring:
            self.expiring -= 1
            raise AwsError("ExpiredNextTokenException")
        if method == "describe_stream_summary":
            summary = {
                "StreamARN": "arn:aws:kinesis:us-east-1:0:stream/s", "RetentionPeriodHours": 24,
                "StreamCreationTimestamp": datetime(2026, 1, 1, tzinfo=UTC),
            }  # fmt: skip
            headers = {"date": "Thu, 15 Jan 2026 10:31:00 GMT"}
            return {"StreamDescriptionSummary": summary, "ResponseMetadata": {"HTTPHeaders": headers}}
        token = int(arguments.get("NextToken", 0))
        answer: dict[str, Any] = {"Shards": [shard(name) for name in self.pages[token]]}
        if token + 1 < len(self.pages):
            answer["NextToken"] = str(token + 1)
        return answer


def shard(name: str) -> dict[str, Any]:
    """`c<p+q` is a child of p and q; one with a dot is closed."""
    own, *parents = name.replace("+", "<").split("<")
    described: dict[str, Any] = {
        "ShardId": own.rstrip("."),
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": str(SPACE - 1)},
        "SequenceNumberRange": {"StartingSequenceNumber": "1"},
    }
    if own.endswith("."):
        described["SequenceNumberRange"]["EndingSequenceNumber"] = "9"
    return described | dict(zip(("ParentShardId", "AdjacentParentShardId"), parents, strict=False))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


async def test_all_pages_of_a_listing_are_read_and_the_token_travels_alone(clock: Clock) -> None:
    aws = Aws(["a", "b."], ["c<a+b"])
    shards = ShardDirectory(aws.ask, "s", 48)
    await shards.refresh()
    listing = shards.listing
    assert listing is not None
    assert sorted(listing.shards) == ["a", "b", "c"]
    assert listing.shards["c"].parents == ("a", "b")
    assert listing.open == {"a", "c"}
    assert [arguments for method, arguments in aws.calls if method == "list_shards"] == [
        {"StreamName": "s"}, {"NextToken": "1"},
    ]  # fmt: skip


async def test_the_clock_of_the_service_is_the_one_that_counts(clock: Clock) -> None:
    shards = ShardDirectory(Aws(["a"]).ask, "arn:aws:kinesis:us-east-1:0:stream/s", 48)
    await shards.refresh()
    assert shards.facts is not None
    assert shards.facts.asked_ms == 1768473060000
    assert shards.facts.retention_ms == 24 * 3_600_000


async def test_a_stream_is_listed_every_thirty_seconds_however_many_slots_ask(clock: Clock) -> None:
    aws = Aws(["a"])
    shards = ShardDirectory(aws.ask, "s", 48)
    for _ in range(48):
        await shards.refresh()
    assert len(aws.calls) == 2
    clock.now += 30
    await shards.refresh()
    assert len(aws.calls) == 4


async def test_a_listing_that_fails_is_tried_again_after_a_while_and_changes_nothing(clock: Clock) -> None:
    aws = Aws(["a"])
    shards = ShardDirectory(aws.ask, "s", 48)
    await shards.refresh()
    clock.now += 30
    aws.failing = AwsUnavailable("InternalFailure")
    for _ in range(3):
        with pytest.raises(AwsError, match="InternalFailure"):
            await shards.refresh()
    assert len(aws.calls) == 3
    assert [found.id for found in shards.of_slot(24)] + [found.id for found in shards.of_slot(23)] == ["a"]


async def test_a_shard_is_gone_only_if_two_listings_thirty_seconds_apart_lack_it(clock: Clock) -> None:
    aws = Aws(["a", "p"])
    shards = ShardDirectory(aws.ask, "s", 48)
    await shards.refresh()
    assert not shards.absent("p", clock.now)
    assert not shards.absent("q", clock.now)
    aws.pages = [["a"]]
    clock.now += 30
    await shards.refresh()
    assert not shards.absent("p", clock.now)
    clock.now += 10
    await shards.refresh(now=True)
    assert not shards.absent("p", clock.now)
    clock.now += 20
    await shards.refresh(now=True)
    assert shards.absent("p", clock.now)
    assert not shards.absent("a", clock.now)


async def test_a_shard_is_not_gone_before_all_checkpoints_were_read_past_the_listing(clock: Clock) -> None:
    shards = ShardDirectory(Aws(["a"]).ask, "s", 48)
    await shards.refresh()
    clock.now += 30
    await shards.refresh()
    assert not shards.absent("p", clock.now - 1)
    assert shards.absent("p", clock.now)


async def test_children_are_known_from_their_parents_before_they_are_listed(clock: Clock) -> None:
    shards = ShardDirectory(Aws(["a"]).ask, "s", 48)
    await shards.refresh()
    known = shard_of(shard("c<a"))
    shards.tell([known])
    assert known in shards.of_slot(known.source_slot(48))
    assert missing_parents([known], ["b"]) == {"a"}


async def test_listings_from_before_a_shard_was_told_of_do_not_prove_that_it_is_gone(clock: Clock) -> None:
    shards = ShardDirectory(Aws(["a"]).ask, "s", 48)
    await shards.refresh()
    clock.now += 30
    await shards.refresh()
    clock.now += 1
    shards.tell([shard_of(shard("c<a"))])
    assert not shards.absent("c", clock.now)
    clock.now += 29
    await shards.refresh()
    assert not shards.absent("c", clock.now)
    clock.now += 30
    await shards.refresh()
    assert shards.absent("c", clock.now)


@pytest.mark.parametrize("method", ["describe_stream_summary", "list_shards"])
async def test_half_an_answer_is_a_failed_listing_and_never_an_empty_one(clock: Clock, method: str) -> None:
    aws = Aws(["a"])
    shards = ShardDirectory(aws.ask, "s", 48)
    await shards.refresh()
    before = shards.listing
    aws.halved.add(method)  # botocore takes half an answer for one without members
    clock.now += 30
    with pytest.raises(AwsUnavailable, match="UnreadableReply"):
        await shards.refresh()
    assert not aws.halved
    assert shards.listing is before
    clock.now += 5
    await shards.refresh()
    assert shards.listing is not before


async def test_a_page_token_that_expires_begins_the_listing_again(clock: Clock) -> None:
    aws = Aws(["a", "b"], ["c"])
    aws.expiring = 1
    shards = ShardDirectory(aws.ask, "s", 48)
    await shards.refresh()
    assert aws.expiring == 0
    assert shards.listing is not None
    assert sorted(shards.listing.shards) == ["a", "b", "c"]


async def test_tokens_that_always_expire_fail_the_listing(clock: Clock) -> None:
    aws = Aws(["a"], ["b"])
    aws.expiring = 100
    shards = ShardDirectory(aws.ask, "s", 48)
    with pytest.raises(AwsError, match="ExpiredNextTokenException"):
        await shards.refresh()
    assert shards.listing is None


async def test_whoever_asks_again_at_once_is_told_the_same_kind_of_failure(clock: Clock) -> None:
    aws = Aws(["a"])
    aws.failing = AwsThrottled("LimitExceededException")
    shards = ShardDirectory(aws.ask, "s", 48)
    for _ in range(2):
        with pytest.raises(AwsThrottled):
            await shards.refresh()
    assert len(aws.calls) == 1


async def test_a_parent_heard_of_only_through_its_child_is_not_gone_by_older_listings(clock: Clock) -> None:
    shards = ShardDirectory(Aws(["a"]).ask, "s", 48)
    await shards.refresh()
    clock.now += 30
    await shards.refresh()
    clock.now += 1
    shards.tell([shard_of(shard("m<a+q"))])  # q was split off, and merged again, since the last listing
    assert not shards.absent("q", clock.now)
    for _ in range(2):
        clock.now += 30
        await shards.refresh()
    assert shards.absent("q", clock.now)
