"""Waiting for the page. Playwright's own way makes code of text in the page, which the page's policy forbids."""

import time
from typing import Any

import pytest

SECONDS = 20.0


def until(page: Any, condition: str) -> None:
    """Until an expression of JavaScript holds."""
    deadline = time.monotonic() + SECONDS
    while not page.evaluate(f"Boolean({condition})"):
        if time.monotonic() > deadline:
            pytest.fail(f"never so: {condition}\n{page.evaluate('document.body.innerText')[:2000]}")
        page.wait_for_timeout(50)
