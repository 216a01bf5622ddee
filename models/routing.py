"""The one partition function of the product: Kafka's murmur2 over the raw key bytes."""

MASK = 0xFFFFFFFF
M = 0x5BD1E995


def murmur2(data: bytes) -> int:
    """32-bit murmur2 as Apache Kafka's `Utils.murmur2` computes it, as an unsigned integer."""
    length = len(data)
    h = (0x9747B28C ^ length) & MASK
    full = length & ~3
    for i in range(0, full, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * M) & MASK
        k ^= k >> 24
        k = (k * M) & MASK
        h = ((h * M) & MASK) ^ k
    tail = data[full:]
    if tail:
        h ^= int.from_bytes(tail, "little")
        h = (h * M) & MASK
    h ^= h >> 13
    h = (h * M) & MASK
    return h ^ (h >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of a key: what Kafka's own default partitioner (Java) gives for the same bytes."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
