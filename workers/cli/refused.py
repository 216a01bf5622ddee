"""Documents of a file that could not be shown: the first few by name, the others as a number. Never a value (P6)."""

from dataclasses import dataclass, field

import click

MOST_TOLD = 5
"""Of each kind and file: what is wrong with one is mostly wrong with the next."""


@dataclass(slots=True)
class RefusedDocuments:
    """Those of one file. Nothing is told before the file is known to hold JSON at all."""

    file: str
    documents: int = 0
    failed: int = 0
    left_out: int = 0
    objects: bool = False
    """Whether any document was a JSON object, as rows and change records are."""
    _waiting: list[str] = field(default_factory=list)

    @property
    def is_no_json(self) -> bool:
        """True of a whole file without one JSON object in it."""
        return self.failed > 0 and not self.objects

    def is_json(self) -> None:
        """A JSON object was found: tell what was held back."""
        self.objects = True
        for line in self._waiting:
            click.echo(line, err=True)
        self._waiting.clear()

    def note(self, where: str, why: str, *, failed: bool) -> None:
        """A document that is not shown; not `failed`: it has no row that is asked for."""
        if failed:
            self.failed += 1
        else:
            self.left_out += 1
        if (self.failed if failed else self.left_out) <= MOST_TOLD:
            told = "not shown: " if failed else "left out: "
            self._waiting.append(f"{where}: {told}{why}")
        if self.objects:
            self.is_json()

    def end(self) -> str | None:
        """What of the file was not told yet; the one thing to say of a file that is no JSON is the answer."""
        if self.is_no_json:
            first = self._waiting[0].replace("not shown: ", "", 1)
            return f"{self.file} holds no row and no change record, which are JSON objects: {first}"
        for count, what in ((self.failed, "not shown"), (self.left_out, "left out")):
            if count > MOST_TOLD:
                click.echo(f"{self.file}: {count - MOST_TOLD} more {what}", err=True)
        return None
