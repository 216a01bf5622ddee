"""Whether all workers have the same tables. Pure."""

from collections.abc import Mapping

FIRST = ("enrich", "bridge")
"""Of several stages whose workers differ one is named, enrich if it is among them: it is one file they all read."""


def disagreement(marks: Mapping[str, Mapping[str, str]]) -> tuple[str, str] | None:
    """The stage, and which of its workers have which tables; None if they agree. `marks`: by stage and worker, the
    fingerprint of its tables; empty if it has not said."""
    for stage in sorted(marks, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name)):
        workers: dict[str, list[str]] = {}
        for worker, mark in sorted(marks[stage].items()):
            if mark:
                workers.setdefault(mark, []).append(worker)
        if len(workers) > 1:
            told = "; ".join(f"{mark} on {', '.join(names)}" for mark, names in workers.items())
            return stage, f"workers run with different tables, and each drops what its own does not name: {told}"
    return None
