"""What pyproject.toml has compiled can be compiled (docs/decisions/0065)."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMPILED = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]["include"]
MADE_AT_RUN_TIME = {"Struct", "BaseModel", "Enum", "StrEnum", "TypedDict"}
"""Bases whose metaclass makes the class: machine code would go round it."""


def names(bases: list[ast.expr]) -> set[str]:
    return {word for base in bases for word in ast.unparse(base).replace("[", ".").split(".")}


@pytest.mark.parametrize("path", COMPILED)
def test_a_compiled_module_defines_no_class_that_a_metaclass_makes(path: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    made = {
        node.name: names(node.bases) & MADE_AT_RUN_TIME for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    }
    assert {name: bases for name, bases in made.items() if bases} == {}


@pytest.mark.parametrize("path", COMPILED)
def test_handlers_of_one_function_name_their_exceptions_apart(path: str) -> None:
    """A variable of compiled code has one type, so `error` of two types in one function raises TypeError there."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        bound = [node.name for node in ast.walk(function) if isinstance(node, ast.ExceptHandler) and node.name]
        assert len(set(bound)) == len(bound), f"{path}: {function.name}"
