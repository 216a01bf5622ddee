"""The pages about models are what the code says, and every model has a use or a reason for its absence."""

from pathlib import Path

import pytest

from models.catalogue import TELEPHONY
from models.record_type import RecordTypeEnum
from workers.reference.code_index import CodeIndex
from workers.reference.model_names import CATEGORIES, MISSING, TEST_KIT
from workers.reference.models import pages

ROOT = Path(__file__).parents[2]
NAMES = sorted({name for names in CATEGORIES.values() for name in names})


@pytest.fixture(scope="module")
def index() -> CodeIndex:
    return CodeIndex(ROOT)


def test_the_checked_in_pages_are_the_generated_ones() -> None:
    stale = [path for path, text in pages(ROOT).items() if (ROOT / path).read_text(encoding="utf-8") != text]
    assert stale == [], "run `make model-docs`"


def test_the_categories_have_as_many_models_as_they_had() -> None:
    assert [len(names) for names in CATEGORIES.values()] == [12, 8, 10, 6, 12, 8, 10, 9]


@pytest.mark.parametrize("name", NAMES)
def test_every_model_is_used_by_code_outside_of_its_module_or_says_why_it_is_not_here(
    name: str, index: CodeIndex
) -> None:
    found = index.find(name)
    if found is None:
        assert len(MISSING[name]) > 20
    elif name not in TEST_KIT:
        assert index.users(found) != []


def test_no_reason_is_left_for_a_model_that_is_there(index: CodeIndex) -> None:
    assert [name for name in MISSING if index.find(name) is not None] == []


def test_a_class_that_only_tests_use_counts_as_unused(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "models" / "a.py").write_text("class A: ...\nclass B:\n    a: A\nclass C: ...\n")
    (tmp_path / "models" / "b.py").write_text("from models.a import B as Other, C\nthing = Other()\n")
    (tmp_path / "tests" / "c.py").write_text("from models.a import C\nthing = C()\n")
    index = CodeIndex(tmp_path)
    users = {name: index.users(found) for name in "ABC" if (found := index.find(name)) is not None}
    assert users == {"A": ["models/b.py"], "B": ["models/b.py"], "C": []}


def test_every_built_in_table_is_a_record_type() -> None:
    assert {spec.name for spec in TELEPHONY} <= set(RecordTypeEnum)
    assert len(RecordTypeEnum) == 12
