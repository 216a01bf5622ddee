"""`make mutants`: apply each patch to a copy of the tree and see its test fail, for the reason the patch names."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

WAIT_SECONDS = "25"
"""How long a broken build waits for what will never come; far longer than the build at hand needs."""
JOBS = 3
"""On two cores: most of a run is waiting for Kafka to start, or for what never comes."""
HERE = Path(__file__).parent
TREE = HERE.parent.parent
TESTS_FAILED = 1
SECONDS = 240


@dataclass(frozen=True, slots=True)
class Mutant:
    """A patch with its header: `Promise:`, `Breaks:` (a pytest node id) and `Because:` (text in the failure)."""

    path: Path
    promise: str
    breaks: str
    because: str

    @classmethod
    def read(cls, path: Path) -> "Mutant":
        header = dict(re.findall(r"^(Promise|Breaks|Because): (.+)$", path.read_text(), re.MULTILINE))
        if header.keys() != {"Promise", "Breaks", "Because"}:
            raise SystemExit(f"{path.name}: the header needs Promise, Breaks and Because")
        return cls(path, header["Promise"], header["Breaks"], header["Because"])

    @property
    def name(self) -> str:
        return self.path.stem


def copy_tree(target: Path) -> None:
    """Every file git knows or would know, as it is in the work tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TREE, check=True, capture_output=True,
    ).stdout  # fmt: skip
    for name in listed.decode().split("\0"):
        source = TREE / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def verdict(mutant: Mutant) -> str:
    """Empty if the mutant was caught, else what went wrong."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        tree = Path(directory)
        copy_tree(tree)
        applied = subprocess.run(
            ["git", "apply", str(mutant.path)], cwd=tree, check=False, capture_output=True, text=True
        )
        if applied.returncode:
            return f"the patch does not apply: {applied.stderr.strip()}"
        path = {"PYTHONPATH": directory, "PYTHONDONTWRITEBYTECODE": "1", "TEST_WAIT_SECONDS": WAIT_SECONDS}
        try:
            run = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutant.breaks],
                cwd=tree, env=_environment() | path, check=False, capture_output=True, text=True, timeout=SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"{mutant.breaks} did not end within {SECONDS} s"
    if run.returncode == 0:
        return f"{mutant.breaks} passes on the broken build"
    if run.returncode != TESTS_FAILED:
        return f"pytest ended with {run.returncode}:\n{run.stdout[-2000:]}"
    if not re.search(mutant.because, run.stdout):
        return f"it failed for another reason than /{mutant.because}/:\n{run.stdout[-2000:]}"
    return ""


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def timed(mutant: Mutant) -> tuple[str, float]:
    """The verdict, and the seconds it took."""
    started = time.monotonic()
    return verdict(mutant), time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these (name of the patch without .patch)")
    wanted = set(parser.parse_args().names)
    mutants = [Mutant.read(path) for path in sorted(HERE.glob("*.patch"))]
    mutants = [mutant for mutant in mutants if not wanted or mutant.name in wanted]
    if not mutants:
        print("no such mutant", file=sys.stderr)
        return 2
    missed = 0
    with ThreadPoolExecutor(JOBS) as pool:
        for mutant, (problem, seconds) in zip(mutants, pool.map(timed, mutants), strict=True):
            missed += bool(problem)
            state = "MISSED" if problem else "caught"
            print(f"{state}  {mutant.promise}  {mutant.name}  {seconds:.0f} s", flush=True)
            if problem:
                print(f"        {problem}", flush=True)
    print(f"{len(mutants) - missed} passed, {missed} failed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
