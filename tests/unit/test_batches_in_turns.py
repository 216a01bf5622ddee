"""In which order the batches of a transaction are handed to the producer."""

from workers.engine.slot import in_turns


def test_no_partition_waits_for_the_second_batch_of_another_one() -> None:
    outputs = {("raw", 0): ["a1", "a2", "a3"], ("raw", 1): ["b1"], ("checkpoints", 0): ["c1", "c2"]}
    turns = list(in_turns(outputs))
    assert [batch for *_, batch in turns] == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert turns[2] == ("checkpoints", 0, "c1")


def test_a_transaction_without_outputs_has_none() -> None:
    assert list(in_turns({})) == []
