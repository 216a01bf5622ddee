"""What a Lambda function answers to a batch of Kinesis records."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class EventBridgeEventFailure(BaseModel):
    """A record that became no event and has to be looked at."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    item_identifier: str
    """Sequence number of the Kinesis record."""


class LambdaResponse(BaseModel):
    """Partial failure of a batch: Lambda repeats it from the first failed record on."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    batch_item_failures: list[EventBridgeEventFailure]

    @staticmethod
    def of(failed: list[str]) -> "LambdaResponse":
        """`failed`: sequence numbers, in the order of the batch."""
        return LambdaResponse(
            batch_item_failures=[EventBridgeEventFailure(item_identifier=number) for number in failed]
        )
