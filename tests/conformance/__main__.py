"""`make conformance`: the contract tests of the stand-in over it and over other emulators, one after the other.

The exit code is 0 if every target did what is asked, or deviated as `tests/conformance/deviations.py` says.
"""

import argparse
import subprocess
import sys

from tests.conformance.targets import HOME, ROOT, TARGETS, TargetFailed

SUITE = tuple(
    f"test_standin_{part}.py" for part in ("kinesis", "reshard", "settings", "events", "rules", "archives", "sqs")
)
TEST_SECONDS = "180"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="target", help=f"{', '.join(TARGETS)}; default: all of them")
    chosen = parser.parse_args().targets or [*TARGETS]
    if unknown := [name for name in chosen if name not in TARGETS]:
        parser.error(f"no such target: {', '.join(unknown)}")
    sys.exit(1 if [name for name in chosen if not _conforms(name)] else 0)


def _conforms(name: str) -> bool:
    HOME.mkdir(exist_ok=True)
    sys.stderr.write(f"conformance: {name}\n")
    try:
        with TARGETS[name]() as url:
            ran = subprocess.run(
                [
                    sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "tests.conformance.plugin",
                    "--timeout", TEST_SECONDS, "--timeout-method", "signal",
                    "--conformance-target", name, "--conformance-url", url,
                    *(f"tests/contract/{module}" for module in SUITE),
                ],
                cwd=ROOT, check=False,
            )  # fmt: skip
    except TargetFailed as reason:
        sys.stderr.write(f"conformance: {reason}\n")
        return False
    return ran.returncode == 0


if __name__ == "__main__":
    main()
