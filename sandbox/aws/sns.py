"""SNS topics and their subscriptions, in the query protocol; see moto_service. Subscribed queues are our own."""

import json
from collections.abc import Callable
from typing import Any

from sandbox.aws.errors import AwsError
from sandbox.aws.moto_service import Dispatch, MotoService, posting, refused
from sandbox.aws.place import Place

NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
VERSION = "2010-03-31"
OPERATIONS = (
    "CreateTopic", "DeleteTopic", "ListTopics", "GetTopicAttributes", "SetTopicAttributes", "Subscribe", "Unsubscribe",
    "ListSubscriptions", "ListSubscriptionsByTopic", "GetSubscriptionAttributes", "SetSubscriptionAttributes",
    "Publish", "PublishBatch",
)  # fmt: skip

Deliver = Callable[[str, str], bool]
"""(ARN of a queue, text): whether the queue took it."""


def sns(place: Place, deliver: Deliver) -> MotoService:
    """The topics of one account in one region."""
    return MotoService("sns", OPERATIONS, lambda: _moto(place, deliver))


def refusal(error: AwsError) -> str:
    """The XML of an error."""
    return f'<ErrorResponse xmlns="{NAMESPACE}">{refused(error)}</ErrorResponse>'


def as_sns(error: AwsError) -> AwsError:
    """SNS has a code of its own for what others call AccessDeniedException."""
    return AwsError("AuthorizationError", error.message, 403) if error.code == "AccessDeniedException" else error


def _moto(place: Place, deliver: Deliver) -> Dispatch:
    from moto.sns.exceptions import TopicNotFound  # noqa: PLC0415  takes a second to import
    from moto.sns.models import SNSBackend, Subscription, Topic  # noqa: PLC0415
    from moto.sns.responses import SNSResponse  # noqa: PLC0415

    class ToQueue(Subscription):
        def publish(
            self, message: str, message_id: str, subject: str | None = None,
            message_attributes: dict[str, Any] | None = None, group_id: str | None = None,
            deduplication_id: str | None = None, message_structure: str | None = None,
        ) -> None:  # fmt: skip
            matcher = self._filter_policy_matcher
            if matcher is not None and not matcher.matches(message_attributes, message):
                return
            raw = str(self.attributes.get("RawMessageDelivery")).lower() == "true"
            told = self.get_post_data(message, message_id, subject, message_attributes=message_attributes)
            deliver(self.endpoint, message if raw else json.dumps(told, indent=2, sort_keys=True))

    class Topics(SNSBackend):
        def get_topic(self, arn: str) -> Topic:
            if arn not in self.topics:
                raise TopicNotFound
            return self.topics[arn]

        def delete_topic(self, arn: str) -> None:
            topic = self.topics.pop(arn, None)
            if topic is not None:
                self.delete_topic_subscriptions(topic)

        def subscribe(self, topic_arn: str, endpoint: str, protocol: str) -> Subscription:
            made = super().subscribe(topic_arn, endpoint, protocol)
            if protocol == "sqs":
                made.__class__ = ToQueue
            return made

    own = Topics(place.region, place.account)

    class Answers(SNSResponse):
        backend = own  # of this stand-in alone; moto's own is one for the process

    return posting(Answers, f"sns.{place.region}.amazonaws.com", place.account)
