"""Records that no pipeline can publish, as sources really deliver them."""

import json
from typing import Any

from models.outcome import Failure


def spoil(document: dict[str, Any], turn: int) -> tuple[str, bytes, Failure]:
    """Spoil a good `users` insert in one of three ways, by turns: (kind, bytes, code of its dead letter)."""
    row = document["data"]
    match turn % 3:
        case 0:
            whole = json.dumps(document, separators=(",", ":")).encode()
            return "poison: broken JSON", whole[: len(whole) * 2 // 3], Failure.PARSE_ERROR
        case 1:
            keyless = {name: value for name, value in row.items() if name != "ID"}
            return "poison: no key", json.dumps({**document, "data": keyless}).encode(), Failure.VALIDATION_ERROR
        case _:
            wrong = {**row, "HomeOrgID": "head office"}
            return "poison: wrong type", json.dumps({**document, "data": wrong}).encode(), Failure.VALIDATION_ERROR
