"""The examples of docs/testing-agents.md are run."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs/testing-agents.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
TESTS = re.findall(r"^async def (test_\w+)", "\n".join(EXAMPLES), re.MULTILINE)


@pytest.mark.parametrize("test", TESTS)
async def test_the_example_holds(test: str) -> None:
    names: dict[str, Any] = {"__name__": "example"}
    for example in EXAMPLES:
        exec(compile(example, str(PAGE), "exec"), names)
    await names[test]()


def test_there_are_examples() -> None:
    assert len(TESTS) == 4
