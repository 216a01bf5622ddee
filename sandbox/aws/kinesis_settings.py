"""What can be changed about a stream besides its shards: retention, record size, encryption, mode, distribution."""

from sandbox.aws.errors import invalid_argument
from sandbox.aws.fields import Body, choice, structure, text, whole
from sandbox.aws.protocol import Operations
from sandbox.aws.stream import Stream
from sandbox.aws.streams import Streams

MODES = frozenset({"PROVISIONED", "ON_DEMAND"})
STRATEGIES = frozenset({"AUTO", "USER_PARTITION_KEY"})
KMS_ONLY = frozenset({"KMS"})
LEAST_HOURS, MOST_HOURS = 24, 8_760
LEAST_KIB, MOST_KIB = 1_024, 10_240


class StreamSettings:
    """All but the distribution strategy take effect at the end of UPDATING."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def operations(self) -> Operations:
        return {
            "IncreaseStreamRetentionPeriod": self._increase_retention,
            "DecreaseStreamRetentionPeriod": self._decrease_retention,
            "UpdateMaxRecordSize": self._update_max_record_size,
            "StartStreamEncryption": self._start_encryption,
            "StopStreamEncryption": self._stop_encryption,
            "UpdateStreamMode": self._update_mode,
            "UpdateStreamRecordDistributionStrategy": self._update_distribution,
        }

    async def _increase_retention(self, body: Body) -> None:
        now = self._streams.clock()
        stream = self._streams.active(body, now)
        hours = _hours(body)
        if hours < stream.retention_hours:
            raise invalid_argument(_not_that_way(hours, stream, "shorter"))

        def keep_longer(moment: float) -> None:
            stream.forget(moment)  # what was out of reach stays out of reach (API reference)
            stream.retention_hours = hours

        self._streams.begin(stream, now, keep_longer)

    async def _decrease_retention(self, body: Body) -> None:
        now = self._streams.clock()
        stream = self._streams.active(body, now)
        hours = _hours(body)
        if hours > stream.retention_hours:
            raise invalid_argument(_not_that_way(hours, stream, "longer"))

        def keep_shorter(_: float) -> None:
            stream.retention_hours = hours

        self._streams.begin(stream, now, keep_shorter)

    async def _update_max_record_size(self, body: Body) -> None:
        now = self._streams.clock()
        stream = self._streams.active(body, now)
        kib = whole(body, "MaxRecordSizeInKiB", LEAST_KIB, MOST_KIB)

        def resize(_: float) -> None:
            stream.max_record_kib = kib

        self._streams.begin(stream, now, resize)

    async def _start_encryption(self, body: Body) -> None:
        now = self._streams.clock()
        stream = self._streams.active(body, now)
        choice(body, "EncryptionType", KMS_ONLY)
        key_id = text(body, "KeyId", longest=2048)
        self._streams.begin(stream, now, lambda _: stream.encrypt(key_id))

    async def _stop_encryption(self, body: Body) -> None:
        now = self._streams.clock()
        stream = self._streams.active(body, now)
        choice(body, "EncryptionType", KMS_ONLY)
        text(body, "KeyId", longest=2048)
        self._streams.begin(stream, now, lambda _: stream.encrypt(None))

    async def _update_mode(self, body: Body) -> None:
        now = self._streams.clock()
        stream = self._streams.active(body, now)
        mode = choice(structure(body, "StreamModeDetails") or {}, "StreamMode", MODES)

        def switch(_: float) -> None:
            stream.mode = mode
            stream.spread = stream.spread and mode == "ON_DEMAND"

        self._streams.begin(stream, now, switch)

    async def _update_distribution(self, body: Body) -> None:
        stream = self._streams.active(body, self._streams.clock())
        set_distribution(stream, choice(body, "RecordDistributionStrategy", STRATEGIES))


def set_distribution(stream: Stream, strategy: str) -> None:
    """At once, for records that come from now on. Raises InvalidArgumentException for AUTO on a provisioned stream."""
    if strategy == "AUTO" and stream.mode != "ON_DEMAND":
        raise invalid_argument("RecordDistributionStrategy AUTO is not offered for a stream in PROVISIONED mode.")
    stream.spread = strategy == "AUTO"


def _hours(body: Body) -> int:
    """Raises InvalidArgumentException where the API does; the model has no range."""
    hours = whole(body, "RetentionPeriodHours", -(1 << 31), (1 << 31) - 1)
    if not LEAST_HOURS <= hours <= MOST_HOURS:
        raise invalid_argument(f"RetentionPeriodHours must be from {LEAST_HOURS} to {MOST_HOURS}.")
    return hours


def _not_that_way(hours: int, stream: Stream, direction: str) -> str:
    return f"A retention of {hours} hours is {direction} than the present one, {stream.retention_hours} hours."
