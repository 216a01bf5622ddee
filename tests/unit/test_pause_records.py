"""What stands in `cdc.pauses`: pauses, their history, and who obeys."""

import pytest

from models.pause import HISTORY, Obeyed, Pause, PauseBook, Record, Target, pausing, resuming

NOW = 1_768_473_060_000
ENRICH, USERS, THIRD = Target("enrich"), Target("enrich", table="users"), Target("enrich", partition=3)


def pause(target: Target, *, since: int = NOW, until: int = 0, why: str = "bad deploy") -> Pause:
    return Pause(target, since, "ann@ops", why, until)


class Topic:
    """The records of the topic, in order."""

    def __init__(self) -> None:
        self.book = PauseBook()
        self.records: dict[bytes, bytes] = {}
        self._offset = 0

    def write(self, records: list[Record]) -> None:
        for key, value in records:
            self.book.apply(key, value, self._offset, NOW)
            self._offset += 1
            if value is None:
                self.records.pop(key, None)
            else:
                self.records[key] = value

    def compacted(self) -> PauseBook:
        """As a worker reads it that starts now."""
        book = PauseBook()
        for offset, (key, value) in enumerate(self.records.items()):
            book.apply(key, value, offset, NOW)
        return book


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.mark.parametrize("target", [ENRICH, USERS, THIRD, Target("publish", table="a|b")])
def test_a_target_is_read_back_from_its_key(target: Target) -> None:
    assert Target.parse(target.text) == target


@pytest.mark.parametrize("text", ["", "enrich|users", "enrich|partition|-1", "enrich|partition|three", "enrich|table|"])
def test_a_key_that_names_nothing_is_no_target(text: str) -> None:
    with pytest.raises(ValueError, match="no key of a pause"):
        Target.parse(text)


def test_a_pause_holds_until_it_is_resumed_also_for_whoever_reads_the_compacted_topic(topic: Topic) -> None:
    topic.write(pausing(topic.book, [pause(ENRICH), pause(USERS)]))
    assert topic.compacted().of("enrich", NOW + 10**9) == (pause(ENRICH), pause(USERS))
    topic.write(resuming(topic.book, [ENRICH], by="ann@ops", why="", now_ms=NOW + 5))
    assert topic.compacted().of("enrich", NOW + 10**9) == (pause(USERS),)


def test_a_pause_with_an_end_is_over_then_and_the_next_resume_clears_it_away(topic: Topic) -> None:
    topic.write(pausing(topic.book, [pause(ENRICH, until=NOW + 100), pause(THIRD)]))
    assert topic.book.next_end(NOW) == NOW + 100
    assert topic.book.of("enrich", NOW + 99) == (pause(ENRICH, until=NOW + 100), pause(THIRD))
    assert topic.book.of("enrich", NOW + 100) == (pause(THIRD),)
    topic.write(resuming(topic.book, [THIRD], by="ann@ops", why="", now_ms=NOW + 200))
    assert topic.book.pauses == {}
    assert [change.action for _, change in sorted(topic.book.history.items())][-2:] == ["ended", "resumed"]


def test_a_second_pause_of_the_same_keeps_the_beginning_and_takes_the_new_reason(topic: Topic) -> None:
    topic.write(pausing(topic.book, [pause(ENRICH)]))
    topic.write(pausing(topic.book, [pause(ENRICH, since=NOW + 50, why="still bad")]))
    assert topic.book.of("enrich", NOW) == (pause(ENRICH, why="still bad"),)


def test_whoever_missed_the_tombstone_learns_of_the_end_from_the_history(topic: Topic) -> None:
    topic.write(pausing(topic.book, [pause(ENRICH)]))
    late = topic.compacted()
    topic.write(resuming(topic.book, [ENRICH], by="ann@ops", why="", now_ms=NOW + 5))
    for offset, (key, value) in enumerate(topic.records.items()):
        late.apply(key, value, 100 + offset, NOW)
    assert late.now(NOW + 10) == ()


def test_the_history_says_who_did_what_and_is_bounded(topic: Topic) -> None:
    for number in range(HISTORY):
        topic.write(pausing(topic.book, [pause(ENRICH, since=NOW + number)]))
    topic.write(resuming(topic.book, [ENRICH], by="bob@ops", why="mended", now_ms=NOW + HISTORY))
    told = [change for _, change in sorted(topic.compacted().history.items())]
    assert len(told) == HISTORY
    assert (told[-1].action, told[-1].by, told[-1].why) == ("resumed", "bob@ops", "mended")
    assert told[0].at_ms == NOW + 1


def test_workers_obey_the_change_they_name_and_the_next_change_asks_them_anew(topic: Topic) -> None:
    topic.write(pausing(topic.book, [pause(ENRICH)]))
    at = topic.book.changed_at
    for worker, slots in (("w1", {0, 1}), ("w2", {2})):
        word = Obeyed("enrich", worker, at, frozenset(slots))
        topic.write([(word.key.encode(), word.encode())])
    assert topic.book.obeying("enrich", at) == {0, 1, 2}
    assert topic.book.obeying("publish", at) == set()
    topic.write(resuming(topic.book, [ENRICH], by="ann@ops", why="", now_ms=NOW))
    assert topic.book.obeying("enrich", topic.book.changed_at) == set()
    assert [key for key in topic.records if key.startswith(b"obeyed")] == []


@pytest.mark.parametrize("value", [b"", b"null", b"[]", b'{"since":"x"}', b"\xff", b"[" * 10_000])
def test_a_pause_that_cannot_be_read_holds(value: bytes) -> None:
    book = PauseBook()
    book.apply(b"enrich", value, 0, NOW)
    assert [one.target for one in book.now(NOW)] == [ENRICH]


@pytest.mark.parametrize(
    ("key", "value"),
    [(None, b"{}"), (b"\xff", b"{}"), (b"audit|x", b"{}"), (b"obeyed|enrich|w", b"[]"), (b"enrich|users", b"{}"),
     (b"obeyed|enrich|w", b'{"offset":1,"slots":7}')],
)  # fmt: skip
def test_a_foreign_record_pauses_nothing_and_is_counted(key: bytes | None, value: bytes) -> None:
    book = PauseBook()
    book.apply(key, value, 0, NOW)
    assert (book.now(NOW), book.obeyed, book.strange) == ((), {}, 1)
