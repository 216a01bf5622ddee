"""What `cdc check` found; the kinds stand in `workers/checks/kinds.py` and `workers/checks/kafka_kinds.py`."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from workers.checks.kafka_kinds import KINDS
from workers.checks.kinds import Check, Section, Severity
from workers.failures import ExitCode


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. No text holds a secret or a value of a row (P6)."""

    id: str
    severity: Severity
    subject: str
    """What it is about: a setting, a file, a server, a topic."""
    message: str
    action: str
    section: Section

    @classmethod
    def of(cls, kind: str, subject: str, message: str, *, severity: Severity | None = None) -> "Finding":
        """A finding of a known kind; `severity` differs from the kind's where the environment allows it."""
        known = KINDS[kind]
        return cls(kind, severity or known.severity, subject, message, known.action, known.section)


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, in order, and what was found."""

    checked: tuple[Check, ...]
    skipped: tuple[Check, ...]
    """Checks that could not be made because of a finding before them."""
    findings: tuple[Finding, ...]
    sections: tuple[Section, ...] = ()
    """Those that were asked for; all of them, unless somebody chose."""

    @property
    def exit_code(self) -> ExitCode:
        """0 without errors; else what must be mended first: configuration, then permissions, then what is away."""
        codes = [KINDS[finding.id].code for finding in self.findings if finding.severity == "error"]
        return min(codes, default=ExitCode.OK)

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "ok": self.exit_code == ExitCode.OK,
            "exit_code": int(self.exit_code),
            "checked": list(self.checked),
            "skipped": list(self.skipped),
            "sections": list(self.sections),
            "findings": [asdict(finding) for finding in self.findings],
        }


def count(findings: Iterable[Finding], severity: Severity) -> int:
    """How many findings are as bad as that."""
    return sum(finding.severity == severity for finding in findings)
