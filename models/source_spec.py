"""One stream the bridge reads: where it is, where it begins, and the raw topic it becomes."""

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from models.sources.reading import PLAIN, Reading
from models.start_position import StartAt

Adapter = Literal["dms", "dynamodb", "debezium", "debezium-flat", "dsql"]
ADAPTERS: tuple[Adapter, ...] = get_args(Adapter)

SOURCE_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
"""A part of a topic's name."""
STREAM_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
"""As CreateStream takes it."""
STREAM_ARN = re.compile(r"arn:aws[a-z-]*:kinesis:([a-z0-9-]+):([0-9]{12}):stream/[A-Za-z0-9_.-]{1,128}", re.ASCII)
"""Groups: region and account."""
ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}", re.ASCII)
EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
"""As AssumeRole takes it."""
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
ENDPOINT = re.compile(rf"https?://{_LABEL}(\.{_LABEL})*(:[0-9]{{1,5}})?/?", re.ASCII)
REGION = re.compile(r"[a-z]{2}[a-z0-9-]{3,30}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """`name` is that of the raw topic, `raw.<name>`, and takes part in the ids of changes."""

    name: str
    stream: str
    """Name or ARN."""
    region: str
    role: str | None = None
    """ARN of the role to assume for this stream; None: the worker's own credentials."""
    external_id: str | None = None
    """What the trust policy of the role may ask for."""
    endpoint: str | None = None
    """URL in place of AWS's own, e.g. of an interface endpoint in that region."""
    start: StartAt = field(default_factory=StartAt)
    adapter: Adapter | None = None
    """None: told by each record. Otherwise what cannot be decoded is marked as one of these, too."""
    enabled: bool = True
    """False: nothing is read from the stream; what stands in its raw topic is still enriched."""
    reading: Reading = PLAIN

    def serves(self, arn: str) -> bool:
        """Whether this is the stream of that ARN, as far as names tell."""
        found = STREAM_ARN.fullmatch(arn)
        if found is None:
            return False
        if self.account is not None:
            return arn == self.stream
        of_role = self.role is None or self.role.split(":")[4] == found[2]
        return of_role and found[1] == self.region and arn.rpartition("/")[2] == self.stream

    @property
    def account(self) -> str | None:
        """Of the stream, if the ARN names it."""
        found = STREAM_ARN.fullmatch(self.stream)
        return found[2] if found is not None else None


def region_of(stream: str) -> str | None:
    """The region an ARN names; None for a stream's name."""
    found = STREAM_ARN.fullmatch(stream)
    return found[1] if found is not None else None


def is_stream(text: str) -> bool:
    """A stream's name or ARN."""
    return bool((STREAM_ARN if text.startswith("arn:") else STREAM_NAME).fullmatch(text))
