"""Classes of the code and who uses them, read from the source files: nothing is imported."""

import ast
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

ROOMS = ("models", "enrichers", "workers", "sandbox")


@dataclass(frozen=True)
class Module:
    """One source file."""

    path: str
    """From the root, as `models/change.py`."""
    tree: ast.Module

    @cached_property
    def symbols(self) -> dict[str, ast.stmt]:
        """Names that the file defines at its top, each with its statement."""
        found: dict[str, ast.stmt] = {}
        for node in self.tree.body:
            match node:
                case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                    found[node.name] = node
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    found[name] = node
                case _:
                    continue
        return found

    @cached_property
    def imported(self) -> dict[str, tuple[str, str]]:
        """Local name -> (dotted module, name there)."""
        return {
            alias.asname or alias.name: (node.module or "", alias.name)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }

    @cached_property
    def mentioned(self) -> frozenset[str]:
        """Every name that the code says."""
        return frozenset(node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name))

    @cached_property
    def attributes(self) -> frozenset[tuple[str, str]]:
        """Every `name.attribute`."""
        return frozenset(
            (node.value.id, node.attr)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        )

    @property
    def dotted(self) -> str:
        """As imports say it."""
        return self.path.removesuffix(".py").replace("/", ".")


@dataclass(frozen=True)
class Found:
    """A class and where it is."""

    name: str
    module: Module
    node: ast.ClassDef
    alias: str | None = None
    """Another name that the code has for it."""


@dataclass
class CodeIndex:
    """All modules of the rooms below `root`."""

    root: Path
    modules: list[Module] = field(default_factory=list)

    def __post_init__(self) -> None:
        paths = sorted(path for room in ROOMS for path in (self.root / room).rglob("*.py"))
        self.modules = [
            Module(path.relative_to(self.root).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
            for path in paths
        ]

    def find(self, name: str) -> Found | None:
        """The class of a name; the rooms decide where two have it."""
        for room in ROOMS:
            for module in self.modules:
                node = module.symbols.get(name)
                if isinstance(node, ast.ClassDef) and module.path.startswith(f"{room}/"):
                    return Found(name, module, node, _alias(module, name))
        return None

    def users(self, found: Found) -> list[str]:
        """Paths of other modules that use the class, itself or through what its own module makes of it."""
        names = self._reached(found)
        return [
            module.path for module in self.modules if module is not found.module and self._uses(module, found, names)
        ]

    def _reached(self, found: Found) -> set[str]:
        """The class and everything in its module that refers to it."""
        reached = {found.name}
        while True:
            more = {
                name for name, node in found.module.symbols.items() if name not in reached and reached & _names(node)
            }
            if not more:
                return reached
            reached |= more

    @staticmethod
    def _uses(module: Module, found: Found, names: set[str]) -> bool:
        # Also `module.Name`, after `from package import module`.
        package, _, last = found.module.dotted.rpartition(".")
        for local, (source, there) in module.imported.items():
            if source == found.module.dotted and there in names and local in module.mentioned:
                return True
            if (source, there) == (package, last) and any((local, name) in module.attributes for name in names):
                return True
        return False


def _alias(module: Module, name: str) -> str | None:
    for other, node in module.symbols.items():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id == name:
            return other
    return None


@cache
def _names(node: ast.AST) -> frozenset[str]:
    found = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            found.add(inner.id)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str) and inner.value.isidentifier():
            found.add(inner.value)  # an annotation in quotes
    return frozenset(found)
