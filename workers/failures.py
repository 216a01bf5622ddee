"""Errors that end a command, each with its exit code and what to do about it (design: one list for all commands)."""

import difflib
import os
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every `cdc` command."""

    OK = 0
    ERROR = 1
    USAGE = 2
    CONFIGURATION = 3
    DENIED = 4
    UNREACHABLE = 5
    NOT_FOUND = 6
    PARTIAL = 7
    REFUSED = 8
    BUG = 70
    RESTART = 75


class CommandError(Exception):
    """A command cannot go on. The message says what is wrong, `hint` what to do; neither holds row values (P6)."""

    exit_code = ExitCode.ERROR

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigurationError(CommandError):
    """Settings, tables.yaml or topics do not fit; nothing but a change by hand helps."""

    exit_code = ExitCode.CONFIGURATION


class UnreachableError(CommandError):
    """A dependency (Kafka, AWS, a package registry) does not answer."""

    exit_code = ExitCode.UNREACHABLE


class NotFoundError(CommandError):
    """The thing asked for does not exist."""

    exit_code = ExitCode.NOT_FOUND


class PartialError(CommandError):
    """Part of the work succeeded; what did not was reported on stdout."""

    exit_code = ExitCode.PARTIAL


class DeniedError(CommandError):
    """Kafka or AWS know us and say no."""

    exit_code = ExitCode.DENIED


class RefusedError(CommandError):
    """The command would do harm as things are, so it does nothing."""

    exit_code = ExitCode.REFUSED


class BugError(CommandError):
    """Something nobody foresaw. The text of an unforeseen exception may hold row values (P6): it says only where it
    happened."""

    exit_code = ExitCode.BUG

    def __init__(self, error: BaseException) -> None:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "nowhere"
        super().__init__(f"this is a bug: {type(error).__name__} at {place}")

    @staticmethod
    def shown_whole() -> bool:
        """Whether whoever develops this asked for the traceback, values included."""
        return os.environ.get("CDC_LOG_LEVEL") == "DEBUG" and os.environ.get("ENVIRONMENT") == "LOCAL"


def unknown_name(kind: str, name: str, known: Iterable[str], *, see: str = "") -> NotFoundError:
    """No `kind` (table, source, worker …) is called that. The hint says what may have been meant, else what there is;
    `see`: instead of a list that nobody would read."""
    folded = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), folded, n=1)
    there = see or f"there are: {', '.join(folded.values()) or 'none'}"
    return NotFoundError(f"there is no {kind} {name}", hint=f"did you mean {folded[close[0]]}?" if close else there)
