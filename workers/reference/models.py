"""`docs/models.md` and the pages below it, from docstrings and fields; `python -m workers.reference.models` writes."""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic.alias_generators import to_camel

from models.catalogue import TELEPHONY
from models.record_type import RecordTypeEnum
from workers.reference.code_index import CodeIndex, Found
from workers.reference.model_names import CATEGORIES, MISSING, PAGES, TEST_KIT

ROOT = Path(__file__).parents[2]
INDEX = "docs/models.md"
MOST_USERS = 3
GENERATED = "Written by `python -m workers.reference.models`; do not edit."


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a class, as its source says it."""

    name: str
    kind: str
    default: str
    meaning: str


def pages(root: Path = ROOT) -> dict[str, str]:
    """Path -> text of every generated page."""
    index = CodeIndex(root)
    texts = {INDEX: "\n".join(_index(index)) + "\n"}
    for page, (title, categories) in PAGES.items():
        texts[f"docs/models/{page}.md"] = "\n".join(_page(index, title, categories)) + "\n"
    return texts


def _index(index: CodeIndex) -> Iterator[str]:
    names = {name for listed in CATEGORIES.values() for name in listed}
    there = sum(index.find(name) is not None for name in names)
    yield from ("# Models", "", GENERATED, "")
    yield (
        f"The pipeline that cdc-worker replaces had 75 models: {len(names)} names, three of them in two categories. "
        f"{there} are here under their names. The rest is listed with the reason: a class that nothing needs would "
        "only be one more thing to read."
    )
    details = " · ".join(f"[{title}](models/{page}.md)" for page, (title, _) in PAGES.items())
    yield from ("", f"Fields and meanings: {details}.")
    for page, (_, categories) in PAGES.items():
        for category in categories:
            yield from ("", f"## {category}", "", "| model | where | used by |", "|---|---|---|")
            for name in CATEGORIES[category]:
                yield _row(index, name, page)


def _row(index: CodeIndex, name: str, page: str) -> str:
    found = index.find(name)
    if found is None:
        return f"| {name} | not here | {MISSING.get(name, '')} |"
    link = f"[{name}](models/{page}.md#{name.lower()})"
    where = f"[{found.module.path}](../{found.module.path})"
    alias = f", in the code `{found.alias}`" if found.alias else ""
    if name in TEST_KIT:
        return f"| {link} | {where} | tests of your own ([testing-agents.md](testing-agents.md)) |"
    users = index.users(found)
    shown = ", ".join(f"`{path}`" for path in users[:MOST_USERS])
    more = f" and {len(users) - MOST_USERS} more" if len(users) > MOST_USERS else ""
    return f"| {link} | {where}{alias} | {shown}{more} |"


def _page(index: CodeIndex, title: str, categories: Iterable[str]) -> Iterator[str]:
    yield from (f"# {title}", "", GENERATED, "", "All models: [models.md](../models.md).")
    seen: set[str] = set()
    for category in categories:
        yield from ("", f"## {category}")
        for name in CATEGORIES[category]:
            found = index.find(name)
            if found is not None and name not in seen:
                seen.add(name)
                yield from _model(found)


def _model(found: Found) -> Iterator[str]:
    bases = ", ".join(f"`{ast.unparse(base)}`" for base in found.node.bases)
    yield from (
        "",
        f"### {found.name}",
        "",
        f"[{found.module.path}](../../{found.module.path})"
        + (f", a {bases}" if bases else "")
        + (f"; in the code `{found.alias}`" if found.alias else ""),
        "",
    )
    yield _flat(ast.get_docstring(found.node) or "")
    if found.name.endswith("Record"):
        yield from _table_of(found.name)
    fields = list(_fields(found.node))
    if _in_camel_case(found):
        fields = [replace(one, name=to_camel(one.name)) for one in fields]
    if fields:
        yield from ("", "| field | type | default | meaning |", "|---|---|---|---|")
        yield from (f"| `{one.name}` | {_code(one.kind)} | {_code(one.default)} | {one.meaning} |" for one in fields)
    for rule in _rule(found.node):
        yield from ("", "```text", rule, "```")


def _table_of(name: str) -> Iterator[str]:
    """The built-in table of a row model: `UsersRecord` is the row of `users`."""
    for kind in RecordTypeEnum:
        spec = next((spec for spec in TELEPHONY if spec.name == kind), None)
        if spec is None or _folded(name.removesuffix("Record")) not in (_folded(kind), _folded(kind).removesuffix("s")):
            continue
        redacted = ", ".join(f"`{column}` {rule.action.value}" for column, rule in sorted(spec.redact.items()))
        types = ", ".join(f"`{spec.event_type(operation)}`" for operation in sorted(spec.operations))
        yield from ("", f"Table `{kind}`, key `{', '.join(spec.key)}`, events {types}.")
        yield f"Redacted: {redacted or 'nothing'}."


def _in_camel_case(found: Found) -> bool:
    """Whether documents have the fields under camelCase names: the class or an ancestor in its file says so."""
    wanted, seen = [found.node], set()
    while wanted:
        node = wanted.pop()
        if node.name in seen:
            continue
        seen.add(node.name)
        if any(isinstance(part, ast.Assign) and "to_camel" in ast.unparse(part) for part in node.body):
            return True
        bases = (found.module.symbols.get(ast.unparse(base)) for base in node.bases)
        wanted += [base for base in bases if isinstance(base, ast.ClassDef)]
    return False


def _folded(name: str) -> str:
    return name.replace("_", "").lower()


def _fields(node: ast.ClassDef) -> Iterator[Field]:
    """Annotated fields and members of enumerations, each with the text below it."""
    for place, statement in enumerate(node.body):
        after = node.body[place + 1] if place + 1 < len(node.body) else None
        text = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            text = _flat(after.value.value)
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind, value=value) if not name.startswith("_"):
                yield _field(name, ast.unparse(kind), value, text)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=constant)):
                yield Field(name, "", repr(constant), text)
            case _:
                continue


def _field(name: str, kind: str, value: ast.expr | None, text: str) -> Field:
    """What `Field(…)` of pydantic says counts: alias or variable of the environment, default, description."""
    if not (isinstance(value, ast.Call) and ast.unparse(value.func) in ("Field", "field")):
        return Field(name, kind, "" if value is None else ast.unparse(value), text)
    said = {keyword.arg: keyword.value for keyword in value.keywords}
    for place in ("alias", "validation_alias"):
        if place in said:
            texts = [node.value for node in ast.walk(said[place]) if isinstance(node, ast.Constant)]
            name = str(texts[0]) if texts else name
    described = said.get("description")
    if isinstance(described, ast.Constant):
        text = _flat(str(described.value))
    default = value.args[0] if value.args else said.get("default")
    if default is None and "default_factory" in said:
        default = said["default_factory"]
    return Field(name, kind, "" if default is None else ast.unparse(default).removeprefix("lambda: "), text)


def _rule(node: ast.ClassDef) -> Iterator[str]:
    """What `rule` of an enrichment returns."""
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "rule":
            answers = (part.value for part in statement.body if isinstance(part, ast.Return))
            yield from (ast.unparse(answer) for answer in answers if answer is not None)


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Write the pages; 0."""
    for path, text in pages().items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        sys.stderr.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
