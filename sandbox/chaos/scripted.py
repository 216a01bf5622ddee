"""Plans with a story: what happens is fixed, only the moments are drawn."""

import random
from typing import Any

from sandbox.chaos.plan import Action, Kind


def bus_outage(dice: random.Random, seconds: float) -> tuple[Action, ...]:
    """The sink is down from start to end; five changes of membership are spread over it."""
    changes = _rebalances(dice, seconds, "deliver", "term")
    outage = Action(0.5, "sink-outage", "sink", round(seconds, 2), {"mode": dice.choice(["refuse", "hang"])})
    return (outage, *changes)


def bus_throttled(dice: random.Random, seconds: float) -> tuple[Action, ...]:
    """EventBridge throttles every request from start to end; five changes of membership are spread over it, one of them
    a kill."""
    changes = _rebalances(dice, seconds, "publish", "kill")
    return (Action(0.5, "bus-throttle", "bus", round(seconds, 2), {"kind": "throttle"}), *changes)


def _rebalances(dice: random.Random, seconds: float, stage: str, end: Kind) -> list[Action]:
    step = seconds / 6
    kinds: list[tuple[Kind, str, float]] = [
        ("join", "w2", 0.0), (end, "w0", 0.5), ("leave", "w2", 0.0), ("join", "w3", 0.0), ("term", "w1", 0.5),
    ]  # fmt: skip
    return [
        Action(round(step * (n + 1) + dice.uniform(-0.2, 0.2) * step, 2), kind, target, pause, stages_of(stage))
        for n, (kind, target, pause) in enumerate(kinds)
    ]


def predecessor(dice: random.Random, seconds: float) -> tuple[Action, ...]:
    """Kills with a restart at once; between two of them the group comes to rest."""
    count = max(1, int(seconds // 12))
    return tuple(
        Action(round(2 + n * seconds / count + dice.uniform(0, 2), 2), "kill", f"w{dice.randrange(2)}", 0.0)
        for n in range(count)
    )


def bridge_stall(dice: random.Random, seconds: float, seed: int) -> tuple[Action, ...]:
    """Kafka is frozen for `seconds`, among traffic; in the middle of it nothing happens, a shard is split, or
    a worker is killed, by the seed; behind it a worker is ended in order."""
    at = round(dice.uniform(3.0, 5.0), 2)
    middle = round(at + dice.uniform(0.3, 0.6) * seconds, 2)
    stall, end = Action(at, "broker-freeze", "broker", seconds), Action(round(at + seconds + 15.0, 2), "term", "w0")
    match seed % 3:
        case 2:
            return stall, Action(middle, "split", "stream", 0.0, {"place": 0.5}), end
        case 0:
            return stall, Action(middle, "kill", "w1", 1.0), end
        case _:
            return stall, end


def stages_of(*stages: str) -> dict[str, Any]:
    """Options of a worker that joins."""
    return {"stages": list(stages)}
