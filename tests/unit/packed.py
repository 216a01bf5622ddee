"""Headers as a consumer reads them, however they were given to a unit."""

from collections.abc import Sequence

from aiokafka.record.default_records import DefaultRecordBatch

from workers.engine.packing import RecordPacker


def read_headers(headers: Sequence[tuple[str, bytes]] | bytes) -> dict[str, bytes]:
    """By name."""
    packer = RecordPacker(1 << 20, transactional=True)
    packer.append(timestamp=None, key=None, value=None, headers=headers)
    (record,) = DefaultRecordBatch(bytes(packer._build()))
    return dict(record.headers)
