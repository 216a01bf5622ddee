"""How the C library and the garbage collector treat the memory of the process."""

import ctypes
import gc
import os
from collections.abc import Mapping

# malloc.h of glibc
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 32 << 20
"""Free memory at the end of the heap that is kept for the next transaction."""
LARGEST_BYTES = 16 << 20
"""A block of this size comes from the heap: the largest answer of Kinesis is 14 MB of JSON."""
OPERATORS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


def keep_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Have glibc keep freed memory; whether it does. An operator's own choice stays, and so does another C library.

    By default glibc hands blocks of megabytes back to the kernel as soon as they are free, and gets them page by page
    the next time: a third or more of the CPU of a transaction of 4 MB, and of reading an answer (measured)."""
    if any(name in environment for name in OPERATORS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(_TRIM_THRESHOLD, KEPT_BYTES) and mallopt(_MMAP_THRESHOLD, LARGEST_BYTES))
    except (OSError, AttributeError):
        return False


def freeze_loaded() -> None:
    """Have the garbage collector look no more at what is in memory now: modules, classes and settings, which stay until
    the process ends.

    It follows all of it again and again, for nothing: a twentieth of the publish stage's CPU per event (measured)."""
    gc.collect()
    gc.freeze()
