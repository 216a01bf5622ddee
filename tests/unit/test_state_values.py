"""Table values carry a format version: read as written, and never mistaken for a miss."""

import pytest

from enrichers.state import LookupEntry, NewerFormatError, RowMemory, UnreadableEntryError


def test_values_are_read_back_as_they_were_written() -> None:
    entry = LookupEntry(org_id="3", user_id=None, since_ms=5)
    memory = RowMemory(org_id="3", user_id="7", changes=("a", "b"), updated_ms=5)
    assert LookupEntry.decode(entry.encode()) == entry
    assert RowMemory.decode(memory.encode()) == memory


@pytest.mark.parametrize("kind", [LookupEntry, RowMemory])
def test_a_newer_format_is_an_error_of_its_own(kind: type[LookupEntry] | type[RowMemory]) -> None:
    with pytest.raises(NewerFormatError):
        kind.decode(b'{"v":2,"org_id":{"other":"shape"}}')


@pytest.mark.parametrize("kind", [LookupEntry, RowMemory])
def test_what_a_successor_adds_is_ignored(kind: type[LookupEntry] | type[RowMemory]) -> None:
    assert kind.decode(b'{"v":1,"org_id":"3","added":1}') == kind(org_id="3")


@pytest.mark.parametrize("kind", [LookupEntry, RowMemory])
@pytest.mark.parametrize("raw", [b"", b"{", b'{"org_id":7}', b'{"org_id":"\xff"}', b'{"org_id":"\xff","v":"\xff"}'])
def test_a_damaged_entry_stops_the_worker(kind: type[LookupEntry | RowMemory], raw: bytes) -> None:
    with pytest.raises(UnreadableEntryError):
        kind.decode(raw)
