"""What the audit says of parts that it could not see."""

from workers.audit.counts import Counted, Edge
from workers.audit.tallies import InputTally, OutputTally
from workers.audit.verdicts import Line, Verdict, judge_partition
from workers.engine.ledger import IN, OUT, REMADE
from workers.kafka.logs import Log

SOURCE = Log("events", 0, 0, 1000, 1000)
DEAD = Log("dead", 0, 0, 0, 0)


def line(
    outputs: Log, seen: int, *, before: Edge | None = None, counted: int = 1000, again: int = 0, remade: int = 0
) -> Line:
    """A partition with `counted` inputs and outputs, of which `seen` were found."""
    inputs, found = InputTally(0, 1000), OutputTally(0, 1000, before=before)
    inputs.records, found.records, found.twice = counted, seen, again
    return judge_partition(
        "publish", Counted(1000, 0, {IN: counted, OUT: counted, REMADE: remade}), SOURCE, inputs, (outputs, found),
        (DEAD, OutputTally(0, 1000)),
    )  # fmt: skip


def verdict_of(judged: Line, name: str) -> Verdict:
    [check] = [check for check in judged.checks if check.name == name]
    return check.verdict


def test_what_was_deleted_and_what_cannot_be_read_yet_add_up() -> None:
    assert verdict_of(line(Log("receipts", 0, 100, 600, 1000), 500), "output") is Verdict.UNKNOWN
    assert verdict_of(line(Log("receipts", 0, 100, 600, 1000), 499), "output") is Verdict.BROKEN


def test_a_hole_that_opened_while_reading_hides_what_was_in_it() -> None:
    log = Log("receipts", 0, 200, 1000, 1000, holed=True)
    judged = line(log, 900, before=Edge(0, 0))
    assert verdict_of(judged, "output") is Verdict.UNKNOWN


def test_a_source_that_was_made_anew_under_the_stage_is_unknown_and_not_broken() -> None:
    judged = line(Log("receipts", 0, 0, 1000, 1000), 990, again=5, remade=1)
    assert judged.verdict is Verdict.UNKNOWN


def test_the_next_audit_begins_behind_the_trailing_control_records_of_a_partition_that_rests() -> None:
    tally = OutputTally(0, 10)
    tally.note(9, 100)
    log = Log("receipts", 0, 0, 102, 102)
    judged = judge_partition(
        "publish", Counted(10, 0, {IN: 1, OUT: 1}), SOURCE, InputTally(0, 10), (log, tally), (DEAD, OutputTally(0, 10))
    )
    assert judged.edges["out"] == Edge(102, 102)
    tally.note(11, 101)
    judged = judge_partition(
        "publish", Counted(10, 0, {IN: 1, OUT: 1}), SOURCE, InputTally(0, 10), (log, tally), (DEAD, OutputTally(0, 10))
    )
    assert judged.edges["out"] == Edge(101, 102)
