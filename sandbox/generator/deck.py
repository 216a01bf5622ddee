"""What happens in the source, and how often."""

import random
from collections.abc import Container

EARLY, KEY_CHANGE, OTHER = "group_maps_log before its group", "users key change", "availability_log insert"
SHARES = {
    "users insert": 60, "users update": 150, "users delete": 28, KEY_CHANGE: 18,
    "orgs insert": 12, "orgs update": 28,
    "groups insert": 25, "groups update": 45, "groups delete": 10,
    "user_scopes insert": 25, "user_scopes delete": 8,
    "profiles insert": 40, "profiles update": 40, "profiles delete": 8,
    "channels insert": 35, "channels update": 35, "channels delete": 8,
    "pool insert": 20, "pool update": 45,
    "call_status insert": 40, "call_status update": 85,
    "call_center_queues insert": 12, "call_center_queues update": 25, "call_center_queues delete": 3,
    "call_center_agents insert": 15, "call_center_agents update": 35, "call_center_agents delete": 4,
    OTHER: 55, "group_maps_log insert": 45, EARLY: 6,
    "control": 15, "unknown table": 18, "resent": 40, "poison": 10,
}  # fmt: skip
"""What follows the loads, in parts."""
ASIDE = frozenset({"control", "unknown table", "resent", "poison"})
FEWEST_POISON = 3


def shuffled(rng: random.Random, count: int, tables: Container[str]) -> list[str]:
    """So many kinds of changes, `<table> <what>` or aside of tables, of these tables alone."""
    shares = {kind: share for kind, share in SHARES.items() if kind in ASIDE or kind.partition(" ")[0] in tables}
    total = sum(shares.values())
    cards = [kind for kind, share in shares.items() for _ in range(count * share // total)]
    cards += ["poison"] * max(0, min(FEWEST_POISON, count // 10) - cards.count("poison"))
    rest = [kind for kind in shares if kind.endswith((" insert", " update"))]
    cards += rng.choices(rest, [shares[kind] for kind in rest], k=max(0, count - len(cards)))
    rng.shuffle(cards)
    return cards
