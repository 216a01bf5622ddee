"""Digests of the foreign code that the engine overrides or calls by a private name.

`python -m tests.unit.private_sources` writes them anew: do it after a bump of faust-streaming, mode-streaming or
aiokafka, once every function that the test names was read again and `make chaos` has passed.
"""

import inspect
import json
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("private_sources.json")


def digests(touched: Iterable[tuple[Any, Iterable[str]]]) -> dict[str, str]:
    """{module.Class.name: 16 hex digits of its source} for every function among the touched names."""
    found: dict[str, str] = {}
    for owner, names in touched:
        for name in names:
            member = inspect.getattr_static(owner, name, None)
            member = getattr(member, "fget", None) or getattr(member, "func", None) or member
            member = inspect.unwrap(member) if callable(member) else None
            if inspect.isfunction(member):
                source = inspect.getsource(member).encode()
                found[f"{member.__module__}.{member.__qualname__}"] = blake2b(source, digest_size=8).hexdigest()
    return dict(sorted(found.items()))


def recorded() -> dict[str, str]:
    """What was written at the last bump."""
    found: dict[str, str] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Write the file."""
    from tests.unit.test_private_names import OVERRIDDEN, TOUCHED

    FILE.write_text(json.dumps(digests([*TOUCHED, *OVERRIDDEN]), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
