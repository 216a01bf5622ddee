"""Records that no pipeline can publish, as sources really deliver them."""

from dataclasses import replace

from models.outcome import Failure
from sandbox.generator.wire import Encoder, RowChange


def spoil(encoder: Encoder, change: RowChange, turn: int) -> tuple[str, bytes, Failure]:
    """Spoil a good insert of a user in one of three ways, by turns: (kind, bytes, code of its dead letter)."""
    row = change.after or {}
    match turn % 3:
        case 0:
            whole = encoder.change(change)
            return "poison: broken JSON", whole[: len(whole) * 2 // 3], Failure.PARSE_ERROR
        case 1:
            keyless = {name: value for name, value in row.items() if name != change.key}
            return "poison: no key", encoder.change(replace(change, after=keyless)), Failure.VALIDATION_ERROR
        case _:
            wrong = {**row, "HomeOrgID": "head office"}
            return "poison: wrong type", encoder.change(replace(change, after=wrong)), Failure.VALIDATION_ERROR
