"""How people name a row, and what it is in Kafka."""

import pytest

from models.catalogue import load_catalogue
from models.routing import entity_key
from models.sources.binary import TAG
from workers.lookup_tables.row_names import InvalidRow, row_name

TELEPHONY = load_catalogue("telephony", None)
USERS = TELEPHONY.named("users")


@pytest.mark.parametrize("text", ["users:7", "7", '["core","users",7]', '["core","users","7"]'])
def test_every_name_of_a_row_gives_its_key(text: str) -> None:
    assert row_name(text, TELEPHONY, USERS).key("core") == b'["core","users",7]'


def test_a_key_from_kafka_brings_its_own_schema() -> None:
    assert row_name('["other","users",7]', TELEPHONY).key("core") == b'["other","users",7]'


def test_what_an_id_of_events_encodes_is_decoded() -> None:
    assert row_name("users:a%3Ab%25", TELEPHONY).key("core") == entity_key("core", "users", ["a:b%"])


def test_bytes_in_an_id_are_the_bytes_they_were() -> None:
    named = row_name("users:%b64AAE=", TELEPHONY)
    assert named.key("core") == entity_key("core", "users", [{TAG: "AAE="}])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("7", "TABLE:ID"),
        ("user:7", "did you mean users"),
        ("users:7:8", "users:ID"),
        ("users:", "users:ID"),
        ("[", "is JSON"),
        ('["core"]', "schema, table"),
        ('["core","nobody",7]', "no table"),
    ],
)
def test_what_names_no_row_is_told_without_its_values(text: str, says: str) -> None:
    with pytest.raises(InvalidRow, match=says):
        row_name(text, TELEPHONY)
