"""What the files of the page may hold: no markup out of data, nothing from elsewhere, nothing the policy forbids."""

import gzip
import re
from pathlib import Path

import pytest

from workers.web.files import DIRECTORY, TYPES

FILES = sorted(path for path in DIRECTORY.rglob("*") if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
SHELL = {
    "index.html", "page.css", "page.js", "theme.js", "icon.svg", "api.js", "copy.js", "dialog.js", "element.js",
    "format.js", "table.js", "pipeline.js", "sources.js", "config.js",
}  # fmt: skip
MOST_BYTES = 60_000
MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|setHTMLUnsafe"
    r"|\beval\(|new Function|srcdoc|setAttribute\(\"style|\.style\b"
)


def name_of(path: Path) -> str:
    return path.relative_to(DIRECTORY).as_posix()


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_no_script_makes_markup_or_code_out_of_text(path: Path) -> None:
    code = "\n".join(
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith(("//", "*"))
    )
    code = re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL)
    assert MARKUP.findall(code) == []


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix in (".js", ".css", ".html")], ids=name_of)
def test_no_file_fetches_anything_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"""(?:src|href|from|import|url)\W{1,3}(?:https?:)?//\S*""", text) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_every_module_that_is_imported_is_there(path: Path) -> None:
    wanted = re.findall(r'^import .*? from "\./([\w-]+\.js)";', path.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in wanted if not (path.parent / name).is_file()] == []


def test_the_first_page_has_neither_inline_scripts_nor_styles() -> None:
    index = (DIRECTORY / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", index) == []
    assert '<html lang="en">' in index


def test_every_file_is_one_that_the_server_sends() -> None:
    assert [name_of(path) for path in FILES if path.suffix not in TYPES] == []


def test_the_whole_page_stays_small() -> None:
    assert sum(len(gzip.compress(path.read_bytes())) for path in FILES) < MOST_BYTES


def test_the_shell_and_its_three_views_stay_small() -> None:
    bytes_sent = sum(len(gzip.compress((DIRECTORY / name).read_bytes())) for name in SHELL)
    assert bytes_sent < MOST_BYTES / 2
