"""How long something took, for people."""

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000


def duration(milliseconds: int) -> str:
    """Short, in the unit that fits: 863 ms, 3.4 s, 2.5 min, 7.2 h, 310 d. Of negative ones the size."""
    passed = abs(milliseconds)
    if passed < SECOND_MS:
        return f"{passed} ms"
    if passed < MINUTE_MS:
        return f"{passed / SECOND_MS:.1f} s"
    if passed < HOUR_MS:
        return f"{passed / MINUTE_MS:.1f} min"
    if passed < DAY_MS:
        return f"{passed / HOUR_MS:.1f} h"
    return f"{passed / DAY_MS:,.0f} d"
