"""`make test-browser`: the tests of the page in the machine's Chromium. 0 if they pass, or if there is no Chromium and
`--if-there` was said."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "browser.txt"
HOME = ROOT / ".venv-browser"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main(arguments: list[str]) -> int:
    browser = os.environ.get("BROWSER_PATH") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.stderr.write("test-browser: no Chromium here; install the package chromium, or set BROWSER_PATH\n")
        return 0 if "--if-there" in arguments else 1
    _install()
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/browser",
         *(argument for argument in arguments if argument != "--if-there")],
        cwd=ROOT, env={**os.environ, "BROWSER_PATH": browser, "BROWSER_HOME": str(HOME)}, check=False,
    ).returncode  # fmt: skip


def _install() -> None:
    """Beside the worker's own environment, which stays as it is locked."""
    seal = HOME / ".lock"
    wanted = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    if seal.is_file() and seal.read_text(encoding="utf-8") == wanted:
        return
    shutil.rmtree(HOME, ignore_errors=True)
    sys.stderr.write("test-browser: installing requirements/browser.txt\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
         "--no-deps", "--target", str(HOME), "-r", str(LOCK)],
        check=True,
    )  # fmt: skip
    seal.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
