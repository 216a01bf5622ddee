"""YAML with line numbers: readers that note what is wrong and go on, so that all mistakes show at once."""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import yaml

Choice = TypeVar("Choice", bound=StrEnum)
Read = TypeVar("Read")
NONE = "none"
VERSION = "1"
MAX_BYTES = 1 << 20


class InvalidFile(Exception):
    """A file that cannot be used; `problems` lists every mistake with its line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(slots=True)
class Problems:
    """Every mistake of one file, with its line."""

    file: str
    found: list[tuple[int, str]] = field(default_factory=list)

    def at(self, place: "yaml.Node | int", text: str) -> None:
        """Note a mistake."""
        self.found.append((place if isinstance(place, int) else line_of(place), text))

    def listed(self) -> list[str]:
        """`tables.yaml:12: what is wrong`, in the order of the file."""
        return [f"{self.file}:{line}: {text}" for line, text in sorted(self.found)]


def line_of(node: yaml.Node) -> int:
    """Line of a node, from 1."""
    return int(node.start_mark.line) + 1


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean x?` if anything known comes close."""
    names = sorted(known)
    folded = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), folded, n=1)
    return f", did you mean {folded[close[0]]}?" if close else f" (known: {', '.join(names)})"


class Reader:
    """Reads nodes of one file; a wrong one is noted and answered with None."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.root: dict[str, yaml.Node] = {}
        """What stands beside the list of the file, once `entries` was called."""

    def entries(self, path: Path, name: str, others: Iterable[str] = ()) -> list[yaml.Node]:
        """A file of `version: 1`, one list, `name`, and `others`. Raises InvalidFile if it is no such YAML at all."""
        root = _root(path)
        self.root = found = self.fields(root, "file", ["version", name, *others]) or {}
        if "version" not in found:
            self.problems.at(root, "version is missing; this release reads `version: 1`")
        elif getattr(found["version"], "value", None) != VERSION:
            self.problems.at(found["version"], "this release reads `version: 1`")
        return self.items(found[name], name) if name in found else []

    def mapping(self, node: yaml.Node, what: str) -> dict[str, tuple[yaml.Node, yaml.Node]] | None:
        """Name -> (name node, value node). Notes names that stand twice."""
        if not isinstance(node, yaml.MappingNode):
            self.problems.at(node, f"{what} must be a mapping")
            return None
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                self.problems.at(name, f"{what}: a name must be plain text")
            elif name.value in found:
                self.problems.at(name, f"{what}: {name.value} stands twice")
            else:
                found[name.value] = (name, value)
        return found

    def fields(self, node: yaml.Node, what: str, known: Iterable[str]) -> dict[str, yaml.Node] | None:
        """The fields of a mapping; unknown ones are noted, with what they may have meant."""
        entries = self.mapping(node, what)
        if entries is None:
            return None
        names = set(known)
        for name, (place, _) in entries.items():
            if name not in names:
                self.problems.at(place, f"{what}: unknown field {name}{suggestion(name, names)}")
        return {name: value for name, (_, value) in entries.items() if name in names}

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """The items of a list; a single value counts as a list of one."""
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
            self.problems.at(node, f"{what} is empty")
            return []
        return [node]

    def text(self, node: yaml.Node | None, what: str, pattern: re.Pattern[str] | None = None) -> str | None:
        """A text that is not empty; numbers and words like `yes` count as the text they are written as."""
        if node is None:
            return None
        if not isinstance(node, yaml.ScalarNode) or node.tag.endswith(":null") or not node.value:
            self.problems.at(node, f"{what} must be a text")
            return None
        value = str(node.value)
        if pattern is not None and not pattern.fullmatch(value):
            self.problems.at(node, f"{what} may only hold letters, digits, _ and -")
            return None
        return value

    def value(self, node: yaml.Node, what: str) -> str | None:
        """A text that values of rows are compared with: `yes` and `True` are the flag `true`, unless quoted."""
        text = self.text(node, what)
        flag = node.tag.endswith(":bool") and text is not None
        return ("true" if yaml.SafeLoader.bool_values[str(text).lower()] else "false") if flag else text

    def flag(self, node: yaml.Node | None, what: str) -> bool | None:
        """true or false."""
        if node is None:
            return None
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":bool"):
            return bool(yaml.SafeLoader.bool_values[node.value.lower()])
        self.problems.at(node, f"{what} must be true or false")
        return None

    def number(self, node: yaml.Node | None, what: str, most: int) -> int | None:
        """A whole number from 0 to `most`."""
        if node is None:
            return None
        if isinstance(node, yaml.ScalarNode) and re.fullmatch(r"[0-9]{1,9}", node.value) and int(node.value) <= most:
            return int(node.value)
        self.problems.at(node, f"{what} must be a whole number from 0 to {most}")
        return None

    def word(self, node: yaml.Node | None, what: str, known: Iterable[str]) -> str | None:
        """One of a few words."""
        value = self.text(node, what)
        if node is None or value is None:
            return None
        words = tuple(known)
        if value in words:
            return value
        self.problems.at(node, f"{what}: unknown word {value}{suggestion(value, words)}")
        return None

    def choice(self, node: yaml.Node | None, what: str, kind: type[Choice]) -> Choice | None:
        """A member of an enumeration, by its value."""
        value = self.word(node, what, [member.value for member in kind])
        return None if value is None else kind(value)

    def texts(self, node: yaml.Node | None, what: str) -> tuple[str, ...] | None:
        """A list of texts."""
        if node is None:
            return None
        found = [self.text(item, what) for item in self.items(node, what)]
        return tuple(item for item in found if item is not None)

    def each(
        self, node: yaml.Node | None, what: str, read: Callable[[yaml.Node, str], Read | None]
    ) -> dict[str, Read | None] | None:
        """A mapping whose values are read one by one; the word `none` takes back what a built-in table says."""
        if node is None:
            return None
        entries = self.mapping(node, what)
        found: dict[str, Read | None] = {}
        for name, (_, value) in (entries or {}).items():
            if is_none(value):
                found[name] = None
                continue
            item = read(value, f"{what}.{name}")
            if item is not None:
                found[name] = item
        return found


def is_none(node: yaml.Node) -> bool:
    """True for the word `none`."""
    return isinstance(node, yaml.ScalarNode) and node.value == NONE


def _root(path: Path) -> yaml.Node:
    try:
        data = path.read_bytes()
        if len(data) > MAX_BYTES:
            raise InvalidFile([f"{path.name}: larger than {MAX_BYTES} bytes"])
        root = yaml.compose(data.decode("utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise InvalidFile([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise InvalidFile([f"{path.name}: not UTF-8"]) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidFile([f"{path.name}:{line}: no YAML: {error.problem}"]) from None
    except (yaml.YAMLError, RecursionError):
        raise InvalidFile([f"{path.name}:1: no YAML"]) from None
    if root is None:
        raise InvalidFile([f"{path.name}:1: the file is empty; it begins with `version: 1`"])
    return root
