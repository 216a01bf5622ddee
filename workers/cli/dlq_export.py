"""`cdc dlq export`: dead letters to a file, with their originals."""

import asyncio
import base64
import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workers.cli.dlq_options import NAME, choosing, chosen, counted, opened, require_ids, tell_missing
from workers.cli.quiet import quiet
from workers.failures import CommandError, ExitCode, RefusedError

if TYPE_CHECKING:
    from models.buried import Buried
    from models.letter_selection import Selection

EXAMPLES = """\b
Examples:
  cdc dlq export letters.jsonl
  cdc dlq export monday.jsonl --table users --since 1d
  jq -r .valueB64 letters.jsonl | base64 -d
"""


@click.command(epilog=EXAMPLES)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@choosing
@click.option("--all", "everything", is_flag=True, help="Also letters that were redriven or dropped.")
@click.pass_context
def export(ctx: click.Context, /, *, file: Path, everything: bool, **filters: Any) -> None:
    """Write dead letters to FILE, one JSON document per line, with the originals in base64.

    FILE holds personal data that redaction takes away everywhere else: only its owner may read it (mode 0600), and an
    existing file is not overwritten. Nothing changes in Kafka.

    Exit code: 0, 6 if no ID exists, 7 if some do not exist, or an open transaction hides letters, 8 if FILE exists.
    """
    if str(file) == "-":
        raise click.UsageError("letters hold personal data and are not printed: give the name of a file")
    selection = chosen(**filters)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise RefusedError(f"{file} exists", hint="choose another name, or remove it first") from None
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as to, quiet():
            count, hidden = asyncio.run(_export(selection, to, everything=everything))
    except BaseException as error:
        with contextlib.suppress(OSError):
            file.unlink()
        if isinstance(error, OSError) and not isinstance(error, ConnectionError):
            raise CommandError(f"{file} cannot be written: {error.strerror}") from None
        raise
    click.echo(
        f"{NAME}: {counted(count)} written to {file}. It holds personal data: keep it as you keep the database's",
        err=True,
    )
    if hidden:
        ctx.exit(int(ExitCode.PARTIAL))


async def _export(selection: "Selection", to: Any, *, everything: bool) -> tuple[int, bool]:
    count = 0
    async with opened(selection, everything=everything) as now:
        async for letter in now.letters:
            to.write(json.dumps(_document(letter), ensure_ascii=False, separators=(",", ":")) + "\n")
            count += 1
    if not count:
        require_ids(selection, now.found)
    return count, tell_missing(selection, now.found)


def _document(letter: "Buried") -> dict[str, Any]:
    record = letter.record
    return {
        **letter.document(),
        "keyB64": _b64(record.key),
        "valueB64": _b64(record.value),
        "headers": [[name, _b64(value)] for name, value in record.headers],
    }


def _b64(content: bytes | None) -> str | None:
    return base64.b64encode(content).decode() if content is not None else None
