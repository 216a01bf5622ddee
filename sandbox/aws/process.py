"""The stand-in in a child process, for tests: standard library only on this side, and gone with this process."""

import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.aws.control_client import StandInControl

START_SECONDS = 30.0
STOP_SECONDS = 5.0
ROOT = Path(__file__).parents[2]
CREDENTIAL = "testing"  # any value will do: no signature is checked


class StandInProcess:
    """Kinesis, EventBridge, SQS and STS at `url`, empty at first. `control` is the client of its control API.

    >>> with StandInProcess() as aws:
    ...     boto3.client("kinesis", endpoint_url=aws.url, …)
    """

    def __init__(self, flags: Sequence[str] = (), *, region: str = "us-east-1") -> None:
        """`flags` are those of `python -m sandbox.aws`."""
        self.region = region
        self._flags = tuple(flags)
        self._child: subprocess.Popen[str] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """For `endpoint_url`, once it runs."""
        if not self._url:
            raise RuntimeError("the stand-in was not started")
        return self._url

    @property
    def control(self) -> StandInControl:
        return StandInControl(self.url)

    def environment(self) -> dict[str, str]:
        """What unmodified AWS clients need to find it, in this process or another."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": CREDENTIAL,
            "AWS_SECRET_ACCESS_KEY": CREDENTIAL,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Return when it answers. Raises RuntimeError if it ends instead; its stderr is that of this process."""
        # -P and PYTHONPATH: a folder named sandbox where the tests run must not be taken for this one.
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "sandbox.aws", "--region", self.region, *self._flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
        output = self._child.stdout
        ready = output is not None and select.select([output], [], [], START_SECONDS)[0]
        self._url = output.readline().strip() if output is not None and ready else ""
        if not self._url:
            self.stop()
            raise RuntimeError(f"the AWS stand-in did not start within {START_SECONDS:g} s; see its stderr")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL. Fine if it does not run."""
        child, self._child, self._url = self._child, None, ""
        if child is None:
            return
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
