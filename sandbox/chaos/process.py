"""Checks of the processes: no end of their own, no pause that is too long, and life after the last fault."""

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.chaos.bus import PAUSE_SECONDS
from sandbox.chaos.evidence import Evidence, Finding
from workers.engine.stages import PARTIAL, STOP_SECONDS

TERMINATED = 143
"""SIGTERM before the process could listen to it: the shell's 128 + 15."""


def exits(evidence: Evidence) -> Iterator[Finding]:
    """`exit`: no process ends by itself, and one that is told to ends in time with code 0; a publisher that is ended
    while its bus takes no credentials says by its code that this waits for an operator."""
    wrong = []
    for event in evidence.exits:
        witness = {"worker": event["process"], "code": event["code"], "t": event["t"], "pid": event["pid"]}
        if event["by"] == "itself":
            wrong.append(witness | {"how": "by itself"})
        elif event.get("stuck"):
            wrong.append(witness | {"how": f"did not end after {event['signal']}"})
        elif event["signal"] == "SIGTERM" and event["code"] not in _allowed(event, evidence):
            wrong.append(witness | {"how": "SIGTERM"})
    if wrong:
        yield Finding("exit", len(wrong), "processes that ended by themselves or with an error", wrong[0])


def _allowed(event: Mapping[str, Any], evidence: Evidence) -> tuple[int, ...]:
    codes = (0,) if event["answered"] else (0, TERMINATED)
    refused = evidence.spans("bus-token")
    if any(begun <= event["t"] <= ended + PAUSE_SECONDS + STOP_SECONDS for _, begun, ended in refused):
        return (*codes, PARTIAL)
    return codes


def liveness(evidence: Evidence) -> Iterator[Finding]:
    """`liveness`: after the last fault everything is worked off, and every worker is ready."""
    final = evidence.final
    if final.get("aborted"):
        return
    late = [stage for stage, done in final["drained"].items() if not done]
    if late:
        witness = {"stage": late[0], "lag": final.get("lag", {}).get(late[0])}
        yield Finding("liveness", len(late), "stages with input left after the deadline", witness)
    if not final["ready"]:
        yield Finding("liveness", 1, "a worker is not ready after the last fault", {"workers": final.get("not_ready")})


def gaps(evidence: Evidence) -> Iterator[Finding]:
    """`gap`: a deletion ahead of the position is reported by the stage, and nothing else is."""
    wanted = sum(len(ranges) for ranges in evidence.final.get("skipped", {}).values())
    seen: dict[tuple[str, int, str, int], tuple[int, dict[str, Any]]] = {}
    for event in evidence.history:
        if event["op"] == "stats":
            for stage, state in event["stages"].items():
                where = {"worker": event["process"], "stage": stage, "t": event["t"], "gaps": state["gaps"]}
                seen[event["process"], event["pid"], stage, state["restarts"]] = state["gap_count"], where
    reported = sum(count for count, _ in seen.values())
    if reported and not wanted:
        witness = next(where for count, where in seen.values() if count)
        yield Finding("gap", reported, "gaps without a deletion", witness)
    if reported < wanted:
        witness = {"skipped": evidence.final["skipped"], "reported": reported}
        yield Finding("gap", wanted - reported, "deletions ahead of the position that no stage reported", witness)


def pauses(evidence: Evidence) -> Iterator[Finding]:
    """`pause`: the engine's part of every rebalance stays below the bound of the scenario, if it has one."""
    limit = evidence.plan.limits.get("pause")
    if limit is None:
        return
    found = [
        (seconds, {"worker": worker, "pid": pid, "stage": stage, "seconds": seconds})
        for (worker, pid, stage, _), list_of in evidence.pauses("engine_pauses").items()
        for seconds in list_of
    ]  # fmt: skip
    wrong = [witness for seconds, witness in found if seconds > limit]
    if wrong:
        yield Finding("pause", len(wrong), f"rebalances with more than {limit:g} s", wrong[0])


def peer_pauses(evidence: Evidence) -> Iterator[Finding]:
    """`peer-pause`: a worker that is killed and comes back at once under its name stops the others for less than the
    bound, all rebalances of that kill together."""
    limit = evidence.plan.limits.get("peer_pause")
    if limit is None:
        return
    kills = [
        (event["t"], event["target"]) for event in evidence.history
        if event["process"] == "nemesis" and event["op"] == "kill" and event["type"] == "invoke"
    ]  # fmt: skip
    wrong = []
    for place, (begun, target) in enumerate(kills):
        end = kills[place + 1][0] if place + 1 < len(kills) else float("inf")
        for worker, seconds in _paused(evidence, begun, end, target).items():
            if seconds > limit:
                wrong.append({"killed": target, "t": begun, "worker": worker, "seconds": round(seconds, 3)})
    if wrong:
        yield Finding(
            "peer-pause", len(wrong), f"kills that stopped another worker for more than {limit:g} s", wrong[0]
        )


def _paused(evidence: Evidence, begun: float, end: float, target: str) -> dict[str, float]:
    """{other worker: seconds of its rebalances in that time}, from the growth of what it reports."""
    first: dict[tuple[str, int, str], int] = {}
    total: dict[tuple[str, int, str], float] = {}
    for event in evidence.history:
        if event["op"] != "stats" or event["process"] == target or event["t"] >= end:
            continue
        for stage, state in event["stages"].items():
            where = (event["process"], event["pid"], stage)
            if event["t"] < begun:
                first[where] = len(state["pauses"])
            elif where in first:
                total[where] = sum(state["pauses"][first[where] :])
    found: dict[str, float] = {}
    for (worker, _, _), seconds in total.items():
        found[worker] = max(found.get(worker, 0.0), seconds)
    return found


CHECKS = (exits, liveness, gaps, pauses, peer_pauses)
