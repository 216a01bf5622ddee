"""The partition function agrees with Apache Kafka's own, byte for byte."""

import pytest

from models.routing import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # org.apache.kafka.common.utils.UtilsTest#testMurmur2
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_gives_the_values_of_kafkas_own_tests(data: bytes, expected: int) -> None:
    assert murmur2(data) == expected & 0xFFFFFFFF


def test_every_key_has_a_partition_in_range() -> None:
    seen = {partition_of(b"[%d]" % i, 4) for i in range(200)}
    assert seen == {0, 1, 2, 3}
