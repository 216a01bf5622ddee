"""`python -m tests.golden`: writes every golden file anew from its records. Read what changed before you commit it."""

import sys
from pathlib import Path

from tests import captures
from tests.golden import golden_of, inputs, results, text_of


def main() -> int:
    """Names the files that changed."""
    for path in inputs():
        _renew(golden_of(path), text_of(results(path)))
    for path in captures.captures():
        _renew(captures.golden_of(path), text_of(captures.results(path)))
    return 0


def _renew(golden: Path, text: str) -> None:
    if not golden.is_file() or golden.read_text("utf-8") != text:
        golden.write_text(text, "utf-8")
        print(golden.name)


if __name__ == "__main__":
    sys.exit(main())
