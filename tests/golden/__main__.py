"""`python -m tests.golden`: writes every golden file anew from its records. Read what changed before you commit it."""

import sys

from tests.golden import golden_of, inputs, results, text_of


def main() -> int:
    """Names the files that changed."""
    for path in inputs():
        golden, text = golden_of(path), text_of(results(path))
        if not golden.is_file() or golden.read_text("utf-8") != text:
            golden.write_text(text, "utf-8")
            print(golden.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
