"""SQS of the stand-in, through unmodified boto3."""

import hashlib
import threading
from typing import Any

import pytest

from sandbox.aws.server import StandIn
from tests.contract.standin import HandClock, clock, refused, sqs, stand_in

__all__ = ["clock", "sqs", "stand_in"]  # fixtures

MISSING = "AWS.SimpleQueueService.NonExistentQueue"


@pytest.fixture
def url(sqs: Any) -> str:
    made: str = sqs.create_queue(QueueName="events")["QueueUrl"]
    return made


def send(sqs: Any, url: str, *bodies: str) -> None:
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)


def receive(sqs: Any, url: str, most: int = 10, **more: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=most, **more).get(
        "Messages", []
    )
    return messages


def bodies(messages: list[dict[str, Any]]) -> list[str]:
    return [message["Body"] for message in messages]


def counts(sqs: Any, url: str) -> tuple[int, int, int]:
    """Visible, in flight, delayed."""
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    names = ("ApproximateNumberOfMessages", "NotVisible", "Delayed")
    visible, in_flight, delayed = (int(attributes[name if name == names[0] else names[0] + name]) for name in names)
    return visible, in_flight, delayed


def test_a_message_with_a_character_outside_of_xml_is_refused(sqs: Any, url: str) -> None:
    for body in ("a\x00", "a\uffff"):
        with refused("InvalidMessageContents"):
            send(sqs, url, body)
    send(sqs, url, "a\t\U0001f600")


def test_a_queue_lives_under_the_servers_own_address(stand_in: StandIn, url: str) -> None:
    assert url == f"{stand_in.url}/000000000000/events"


def test_a_queue_is_found_by_name_and_by_prefix(sqs: Any, url: str) -> None:
    sqs.create_queue(QueueName="other")
    assert sqs.get_queue_url(QueueName="events")["QueueUrl"] == url
    assert sqs.list_queues(QueueNamePrefix="ev")["QueueUrls"] == [url]


def test_a_queue_made_twice_is_the_same_queue(sqs: Any, url: str) -> None:
    assert sqs.create_queue(QueueName="events")["QueueUrl"] == url


def test_a_queue_name_is_not_taken_twice_with_other_attributes(sqs: Any, url: str) -> None:
    with refused("QueueAlreadyExists"):
        sqs.create_queue(QueueName="events", Attributes={"VisibilityTimeout": "5"})


def test_a_queue_that_was_never_made_does_not_exist(sqs: Any, url: str) -> None:
    with refused(MISSING):
        sqs.get_queue_url(QueueName="other")
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        send(sqs, url + "x", "lost")


def test_a_deleted_queue_does_not_exist(sqs: Any, url: str) -> None:
    sqs.delete_queue(QueueUrl=url)
    with refused(MISSING):
        receive(sqs, url)


def test_a_fifo_queue_is_refused_rather_than_imitated(sqs: Any) -> None:
    with refused("AWS.SimpleQueueService.UnsupportedOperation"):
        sqs.create_queue(QueueName="events.fifo", Attributes={})


@pytest.mark.parametrize("body", ["plain", "zażółć 🔑", '{"a":"\\n"}', "x" * 1_048_576])
def test_a_body_comes_back_with_its_md5(sqs: Any, url: str, body: str) -> None:
    digest = hashlib.md5(body.encode()).hexdigest()
    assert sqs.send_message(QueueUrl=url, MessageBody=body)["MD5OfMessageBody"] == digest
    [message] = receive(sqs, url)
    assert (message["Body"], message["MD5OfBody"]) == (body, digest)


def test_a_body_above_one_mebibyte_is_refused(sqs: Any, url: str) -> None:
    with refused("InvalidParameterValue"):
        send(sqs, url, "x" * 1_048_577)


def test_messages_are_received_in_the_order_they_arrived(sqs: Any, url: str) -> None:
    send(sqs, url, *(str(number) for number in range(25)))
    received = [bodies(receive(sqs, url)) for _ in range(4)]
    assert [body for page in received for body in page] == [str(number) for number in range(25)]
    assert [len(page) for page in received] == [10, 10, 5, 0]


def test_a_receive_takes_one_message_unless_told_otherwise(sqs: Any, url: str) -> None:
    send(sqs, url, "1", "2")
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1


@pytest.mark.parametrize("most", [0, 11])
def test_a_receive_takes_one_to_ten_messages(sqs: Any, url: str, most: int) -> None:
    with refused("InvalidParameterValue"):
        receive(sqs, url, most)


def test_a_received_message_is_hidden_until_its_timeout(sqs: Any, url: str, clock: HandClock) -> None:
    send(sqs, url, "1")
    receive(sqs, url)
    clock.advance(29)
    assert receive(sqs, url) == []
    clock.advance(1)
    assert bodies(receive(sqs, url)) == ["1"]


def test_a_message_that_comes_back_keeps_its_place(sqs: Any, url: str, clock: HandClock) -> None:
    send(sqs, url, "1", "2", "3")
    receive(sqs, url, 1, VisibilityTimeout=5)
    clock.advance(5)
    assert bodies(receive(sqs, url)) == ["1", "2", "3"]


def test_a_receive_may_choose_its_timeout(sqs: Any, url: str) -> None:
    send(sqs, url, "1")
    receive(sqs, url, VisibilityTimeout=0)
    assert bodies(receive(sqs, url)) == ["1"]


def test_a_deleted_message_does_not_come_back(sqs: Any, url: str, clock: HandClock) -> None:
    send(sqs, url, "1", "2")
    [first, _] = receive(sqs, url)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    clock.advance(30)
    assert bodies(receive(sqs, url)) == ["2"]


def test_an_outdated_receipt_deletes_nothing(sqs: Any, url: str, clock: HandClock) -> None:
    send(sqs, url, "1")
    [first] = receive(sqs, url)
    clock.advance(30)
    receive(sqs, url)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert counts(sqs, url) == (0, 1, 0)


def test_visibility_can_be_lengthened_and_given_back(sqs: Any, url: str, clock: HandClock) -> None:
    send(sqs, url, "1")
    [message] = receive(sqs, url)
    handle = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
    sqs.change_message_visibility(**handle, VisibilityTimeout=60)
    clock.advance(59)
    assert receive(sqs, url) == []
    sqs.change_message_visibility(**handle, VisibilityTimeout=0)
    assert bodies(receive(sqs, url)) == ["1"]


def test_visibility_of_a_message_not_in_flight_cannot_change(sqs: Any, url: str, clock: HandClock) -> None:
    send(sqs, url, "1")
    [message] = receive(sqs, url)
    clock.advance(30)
    with refused("AWS.SimpleQueueService.MessageNotInflight"):
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=1)


def test_a_delayed_message_shows_after_its_delay(sqs: Any, url: str, clock: HandClock) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=10)
    assert counts(sqs, url) == (0, 0, 1)
    clock.advance(10)
    assert bodies(receive(sqs, url)) == ["later"]


def test_a_long_poll_ends_when_a_message_arrives(sqs: Any, url: str) -> None:
    got: list[str] = []
    poll = threading.Thread(target=lambda: got.extend(bodies(receive(sqs, url, WaitTimeSeconds=20))))
    poll.start()
    send(sqs, url, "at last")
    poll.join(10)
    assert got == ["at last"]


def test_an_empty_poll_answers_after_its_wait(sqs: Any, url: str) -> None:
    assert receive(sqs, url, WaitTimeSeconds=1) == []


def test_a_batch_is_sent_and_deleted_entry_by_entry(sqs: Any, url: str) -> None:
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(10)]
    sent = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert [result["Id"] for result in sent["Successful"]] == [str(number) for number in range(10)]
    received = receive(sqs, url)
    assert bodies(received) == [str(number) for number in range(10)]
    handles = [{"Id": message["Body"], "ReceiptHandle": message["ReceiptHandle"]} for message in received]
    assert len(sqs.delete_message_batch(QueueUrl=url, Entries=handles)["Successful"]) == 10
    assert counts(sqs, url) == (0, 0, 0)


@pytest.mark.parametrize(
    ("ids", "code"),
    [
        ([], "EmptyBatchRequest"),
        (["same", "same"], "BatchEntryIdsNotDistinct"),
        (["not valid"], "InvalidBatchEntryId"),
        ([str(number) for number in range(11)], "TooManyEntriesInBatchRequest"),
    ],
)
def test_a_batch_that_breaks_the_rules_is_refused(sqs: Any, url: str, ids: list[str], code: str) -> None:
    with refused(f"AWS.SimpleQueueService.{code}"):
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": name, "MessageBody": "x"} for name in ids])


def test_attributes_count_visible_in_flight_and_delayed_messages(sqs: Any, url: str) -> None:
    send(sqs, url, "1", "2", "3")
    sqs.send_message(QueueUrl=url, MessageBody="4", DelaySeconds=60)
    receive(sqs, url, 1)
    assert counts(sqs, url) == (2, 1, 1)


def test_a_queue_knows_its_arn(sqs: Any, url: str) -> None:
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    assert answer["Attributes"] == {"QueueArn": "arn:aws:sqs:us-east-1:000000000000:events"}


def test_a_changed_visibility_timeout_holds_for_later_receives(sqs: Any, url: str, clock: HandClock) -> None:
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "5"})
    send(sqs, url, "1")
    receive(sqs, url)
    clock.advance(5)
    assert bodies(receive(sqs, url)) == ["1"]


def test_a_purged_queue_is_empty(sqs: Any, url: str, clock: HandClock) -> None:
    send(sqs, url, "1", "2")
    receive(sqs, url, 1)
    sqs.purge_queue(QueueUrl=url)
    clock.advance(60)
    assert counts(sqs, url) == (0, 0, 0)
    assert receive(sqs, url) == []


def test_message_attributes_come_back_if_asked_for(sqs: Any, url: str) -> None:
    attributes = {
        "kind": {"DataType": "String", "StringValue": "user"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageAttributes=attributes)
    [message] = receive(sqs, url, MessageAttributeNames=["kind"], MessageSystemAttributeNames=["All"])
    assert message["MessageAttributes"] == {"kind": attributes["kind"]}
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
