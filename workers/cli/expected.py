"""`cdc invoke --expect FILE`: what came out beside what was expected, document by document, field by field."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from models.documents import pieces
from workers.failures import CommandError, NotFoundError

Document = Mapping[str, Any]
NOTHING = "nothing"
LONGEST = 120
"""Characters of a value in a difference."""


def read_expected(name: str) -> list[Document]:
    """The documents of a file, in any form that `cdc invoke` prints. Raises NotFoundError, CommandError."""
    try:
        data = Path(name).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {name}", hint="cdc invoke … > FILE writes what comes out now") from None
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}") from None
    found: list[Document] = []
    for piece in pieces(data):
        try:
            document = json.loads(piece.content)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise CommandError(f"{name}:{piece.line}: not a JSON object, as `cdc invoke` prints them")
        found.append(document)
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as expected."""

    document: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}: {self.text}"


def differences(expected: Sequence[Document], found: Sequence[Document], ignore: Iterable[str]) -> Iterator[Difference]:
    """What differs. Documents of one name belong together wherever they stand, the rest by their order. `ignore`:
    dotted paths of fields, or of objects with all their fields, that may differ."""
    ignored = frozenset(ignore)
    pairs = _pairs(expected, found)
    for wanted, got in pairs:
        if got is None:
            yield Difference(name_of(expected[wanted or 0]), "expected, and did not come out")
        elif wanted is None:
            yield Difference(name_of(found[got]), "came out, and was not expected")
        else:
            name = name_of(expected[wanted])
            yield from (Difference(name, text) for text in _fields(expected[wanted], found[got], "", ignored))
    order = [got for wanted, got in pairs if wanted is not None and got is not None]
    for before, after in pairwise(order):
        if after < before:
            yield Difference(name_of(found[after]), f"came out before {name_of(found[before])}, expected behind it")


def name_of(document: Document) -> str:
    """What a document is called in a difference: entity, event type and id, or the place of a dead letter."""
    letter = document.get("deadLetter")
    if isinstance(letter, Mapping):
        return f"dead letter of record {letter.get('offset')}"
    return f"{document.get('eventType')} {document.get('eventId')}"


def _pairs(expected: Sequence[Document], found: Sequence[Document]) -> list[tuple[int | None, int | None]]:
    """Places that belong together: (expected, found), None where there is no other side."""
    unpaired: dict[str, list[int]] = {}
    for place, document in enumerate(found):
        unpaired.setdefault(name_of(document), []).append(place)
    partners: dict[int, int] = {}
    for place, document in enumerate(expected):
        places = unpaired.get(name_of(document))
        if places:
            partners[place] = places.pop(0)
    taken = set(partners.values())
    rest = [place for place in range(len(found)) if place not in taken]
    for place in range(len(expected)):
        if place not in partners and rest:
            partners[place] = rest.pop(0)
    pairs: list[tuple[int | None, int | None]] = [(place, partners.get(place)) for place in range(len(expected))]
    return pairs + [(None, place) for place in rest]


def _fields(wanted: Any, got: Any, path: str, ignored: frozenset[str]) -> Iterator[str]:
    if path in ignored:
        return
    if isinstance(wanted, Mapping) and isinstance(got, Mapping):
        for name in sorted(wanted.keys() | got.keys()):
            inner = f"{path}.{name}" if path else name
            if name not in got:
                yield from _missing(inner, wanted[name], NOTHING, ignored)
            elif name not in wanted:
                yield from _missing(inner, NOTHING, got[name], ignored)
            else:
                yield from _fields(wanted[name], got[name], inner, ignored)
    elif type(wanted) is not type(got) or wanted != got:
        yield f"{path}: expected {_shown(wanted)}, came {_shown(got)}"


def _missing(path: str, wanted: Any, got: Any, ignored: frozenset[str]) -> Iterator[str]:
    if path not in ignored:
        sides = (side if side is NOTHING else _shown(side) for side in (wanted, got))
        yield "{}: expected {}, came {}".format(path, *sides)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
