"""What exit codes mean, for the reference."""

from workers.failures import ExitCode

MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done; also after SIGTERM or Ctrl-C of what goes on until then",
    ExitCode.ERROR: "an error, or a comparison that does not come out (audit, `schema diff`, `config diff --workers`)",
    ExitCode.USAGE: "the command was called wrongly",
    ExitCode.CONFIGURATION: "settings, tables.yaml, topics or lost offsets: only a change by hand helps",
    ExitCode.DENIED: "Kafka, AWS or the database knows us and says no",
    ExitCode.UNREACHABLE: "a dependency does not answer",
    ExitCode.NOT_FOUND: "the thing asked for does not exist",
    ExitCode.PARTIAL: "part of the work succeeded, something differs, or part of it cannot be seen",
    ExitCode.REFUSED: "it would do harm as things are, or needs `--yes`: nothing was done",
    ExitCode.BUG: "a bug: please report what was printed, with `cdc version --json`",
    ExitCode.RESTART: "fatal, restart the process; no command ends with it yet",
}
