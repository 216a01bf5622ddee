"""`docs/errors.md`, from the taxonomy of errors: `python -m workers.reference.errors` writes it."""

from collections.abc import Iterator
from pathlib import Path

from models.outcome import ErrorCategory, Failure
from models.remedies import remedy
from models.taxonomy import TAXONOMY, Alert, DlqAction
from workers.reference.exit_codes import MEANINGS

PAGE = Path("docs/errors.md")
HEAD = """# Errors

Written by `python -m workers.reference.errors`; do not edit.

Every record that cannot become an event has a code and a category. Codes stand in the headers of dead letters, in
metrics and logs; texts beside them name columns and rules, never a value of the row. What pauses never makes a dead
letter: the stage waits and goes on by itself.
"""
ACTIONS: dict[DlqAction, str] = {
    DlqAction.STORE: "dead letter",
    DlqAction.STORE_AND_ALERT: "dead letter, and an alert",
    DlqAction.PAUSE: "the stage pauses and tries on",
    DlqAction.RESTART: "the slot starts again from its committed offsets",
}
ALERTS: dict[Alert, str] = {
    Alert.ALWAYS: "each time",
    Alert.RATE_LIMITED: "at a limited rate",
    Alert.ON_RATE: "when there are many",
    Alert.AFTER_5_MINUTES: "after 5 minutes",
}
CATEGORIES: dict[ErrorCategory, str] = {
    ErrorCategory.TRANSIENT: "the world may answer the next time",
    ErrorCategory.PERMANENT: "no try will ever succeed",
    ErrorCategory.POISON_MESSAGE: "the record itself is wrong",
    ErrorCategory.THROTTLING: "too fast: slow down and go on",
    ErrorCategory.CONFIGURATION: "an operator has to change something; the stage waits for it",
}


def error_page() -> str:
    """The whole page."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield HEAD
    yield from ("## Codes", "", "| code | category | tries | then | an operator hears |", "|---|---|---|---|---|")
    for row in TAXONOMY:
        tries = str(row.attempts) if row.attempts else "until it works"
        yield f"| `{row.failure}` | `{row.category}` | {tries} | {ACTIONS[row.action]} | {ALERTS[row.alert]} |"
    yield from ("", "## What to do about a dead letter", "", "| code | what to do |", "|---|---|")
    yield from (f"| `{failure}` | {remedy(failure)} |" for failure in Failure)
    yield from ("", "## Categories", "", "| category | meaning |", "|---|---|")
    yield from (f"| `{category}` | {meaning} |" for category, meaning in CATEGORIES.items())
    yield from ("", "## Exit codes of commands", "", "| code | meaning |", "|---|---|")
    yield from (f"| {int(code)} | {meaning} |" for code, meaning in MEANINGS.items())


def main() -> None:
    """Write the page."""
    PAGE.write_text(error_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
