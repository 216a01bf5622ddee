"""The last look at what is logged: personal data that a library, or an exception of one, put into a line (P6).

Our own lines name columns, types and rules, never values. This is for what others say. It looks only for what operators
do not need: addresses of hosts, offsets and sequence numbers stay readable.
"""

import logging

from enrichers.free_text import find, finder
from models.free_text import MAX_TEXT, RegexRedaction

MASK = "***"
_FINDERS = tuple(
    finder(pattern)
    for pattern in (
        RegexRedaction("email"),
        RegexRedaction("telephone number", r"\+\d(?:[ ().\-/]{0,3}+\d){6,14}+"),
        RegexRedaction("card number", r"\b\d{4}[ \-]\d{4}[ \-]\d{4}[ \-]\d{4}\b"),
        RegexRedaction("card number of 15 digits", r"\b\d{4}[ \-]\d{6}[ \-]\d{5}\b"),
    )
)


def masked(text: str) -> str:
    """The text without e-mail addresses, telephone numbers that begin with `+`, and card numbers in groups."""
    return "".join(_masked(text[at : at + MAX_TEXT]) for at in range(0, len(text), MAX_TEXT))


def _masked(text: str) -> str:
    pieces, at = [], 0
    for found in find(text, _FINDERS):
        pieces += [text[at : found.start], MASK]
        at = found.end
    return "".join([*pieces, text[at:]])


class LoggerRedaction(logging.Formatter):
    """Masks whole lines: messages, their arguments, and the tracebacks behind them."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        return masked(super().format(record))
