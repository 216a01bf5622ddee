"""Which raw topic an audit looks into for the records of a checkpoint."""

from models.source_spec import SourceSpec
from workers.audit.counts import Forwarded, ShardKey
from workers.audit.evidence import source_of
from workers.audit.homes import homes_of
from workers.audit.tallies import ShardTally
from workers.audit.verdicts import Hidden, Verdict, judge_homeless, judge_shard

SHARD = "shardId-000000000000"
CORE = SourceSpec("core", "cdc", "us-east-1")
EUROPE = SourceSpec("europe", "cdc", "eu-west-1")
RAW = {"core": "raw.core", "europe": "raw.europe"}


def arn(region: str, account: str = "111111111111", name: str = "cdc") -> str:
    return f"arn:aws:kinesis:{region}:{account}:stream/{name}"


def told(stream: str, records: int = 10) -> Forwarded:
    return Forwarded(stream, SHARD, 0, "ACTIVE", (10, 0), None, records, 0)


def shards(*streams: str) -> dict[ShardKey, Forwarded]:
    return {(stream, SHARD): told(stream) for stream in streams}


def test_streams_of_one_name_belong_to_the_sources_of_their_regions() -> None:
    homes = homes_of(shards(arn("us-east-1"), arn("eu-west-1")), (CORE, EUROPE), RAW)
    assert {key[0]: home.topic for key, home in homes.items()} == {
        arn("us-east-1"): "raw.core", arn("eu-west-1"): "raw.europe",
    }  # fmt: skip
    assert not any(home.doubt for home in homes.values())


def test_a_source_that_names_the_account_is_preferred_to_one_that_does_not() -> None:
    theirs = SourceSpec("theirs", "cdc", "us-east-1", role="arn:aws:iam::222222222222:role/reader")
    assert source_of(arn("us-east-1", "222222222222"), (CORE, theirs)) == theirs
    assert source_of(arn("us-east-1"), (CORE, theirs)) == CORE


def test_a_source_that_is_disabled_still_owns_its_stream() -> None:
    disabled = SourceSpec("europe", "cdc", "eu-west-1", enabled=False)
    assert source_of(arn("eu-west-1"), (CORE, disabled)) == disabled


def test_what_no_source_reads_has_no_home_among_several() -> None:
    [home] = homes_of(shards(arn("ap-south-1")), (CORE, EUROPE), RAW).values()
    assert (home.topic, home.doubt) == (None, f"no source reads {arn('ap-south-1')}")


def test_what_no_source_reads_is_looked_for_in_the_only_raw_topic() -> None:
    [home] = homes_of(shards(arn("us-east-1", name="former")), (CORE,), {"core": "raw.core"}).values()
    assert (home.topic, bool(home.doubt)) == ("raw.core", True)


def test_a_namesake_that_no_source_reads_casts_doubt_on_the_one_that_is_read() -> None:
    homes = homes_of(shards(arn("us-east-1"), arn("ap-south-1")), (CORE, EUROPE), RAW)
    assert arn("ap-south-1") in homes[arn("us-east-1"), SHARD].doubt


def test_a_doubtful_shard_that_adds_up_is_ok_and_one_that_does_not_is_unknown() -> None:
    for records, verdict in ((10, Verdict.OK), (9, Verdict.UNKNOWN)):
        tally = ShardTally(None, (10, 0))
        tally.records = records
        judged = judge_shard(told(arn("us-east-1")), "raw.core", tally, Hidden(), "somebody else's may stand there")
        assert judged.verdict is verdict


def test_a_shard_without_a_home_is_unknown_unless_it_says_nothing_new() -> None:
    assert judge_homeless(told("cdc"), "why").verdict is Verdict.UNKNOWN
    assert judge_homeless(told("cdc", records=0), "why").verdict is Verdict.OK
