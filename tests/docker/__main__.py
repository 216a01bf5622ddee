"""`make test-docker`: build the images, run docker-compose.yml for real, and look at what a container promises.

Needs a Docker daemon, and either a registry of images or those of deploy/local-images/build.sh. Exit 0: all holds; 1:
something does not; 5: Docker or an image is missing. With --if-there, the last is said and exit 0.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable

from tests.docker.project import Project, Unavailable

READY_SECONDS = 300.0
CHANGES, RATE = "600", "100"


class Wrong(Exception):
    """A container does not keep what is promised."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.docker", description=__doc__)
    parser.add_argument("--if-there", action="store_true", help="exit 0 where Docker or an image is missing")
    given = parser.parse_args()
    try:
        project = Project.find()
    except Unavailable as missing:
        say(f"{'left out' if given.if_there else 'error'}: {missing}")
        sys.exit(0 if given.if_there else 5)
    failed = 0
    try:
        say(f"images: {project.images}; building (about a minute)")
        project.compose("build", seconds=1200)
        project.compose("up", "--detach", seconds=READY_SECONDS, environment={"CDC_DEMO_CHANGES": CHANGES})
        for check in CHECKS:
            failed += not _holds(check, project)
    finally:
        project.compose("down", "--volumes", "--timeout", "10", seconds=120, check=False)
    say(f"{failed} of {len(CHECKS)} do not hold" if failed else f"all {len(CHECKS)} hold")
    sys.exit(1 if failed else 0)


def say(line: str) -> None:
    sys.stderr.write(f"docker: {line}\n")


def _holds(check: Callable[[Project], None], project: Project) -> bool:
    what = (check.__doc__ or "").strip().rstrip(".")
    began = time.monotonic()
    try:
        check(project)
    except (Wrong, subprocess.SubprocessError, OSError, ValueError) as error:
        say(f"WRONG  {what}: {error}")
        return False
    say(f"ok     {what} ({time.monotonic() - began:.0f} s)")
    return True


def workers_become_healthy(project: Project) -> None:
    """Both workers answer their probe without a shell."""
    _wait(lambda: all(project.health(name) == "healthy" for name in ("worker-1", "worker-2")), "healthy")


def demo_ends_well(project: Project) -> None:
    """The demo of `docker compose up` loses, repeats and reorders nothing."""
    _wait(lambda: project.state("demo")["Status"] == "exited", "the end of the demo")
    if project.state("demo")["ExitCode"] != 0:
        raise Wrong(project.compose("logs", "--no-color", "demo")[-2000:])


def nothing_runs_as_root(project: Project) -> None:
    """No process of a worker is root's, and none may become it."""
    told = project.python("worker-1", "print(__import__('os').getuid(), open('/proc/self/status').read())")
    lines = dict(line.split(":\t", 1) for line in told.splitlines() if ":\t" in line)
    if not told.startswith("10001 ") or int(lines["CapBnd"], 16) or lines["NoNewPrivs"] != "1":
        raise Wrong(f"uid {told.split()[0]}, CapBnd {lines['CapBnd']}, NoNewPrivs {lines['NoNewPrivs']}")


def root_file_system_is_read_only(project: Project) -> None:
    """Nothing can be written but scratch."""
    told = project.python(
        "worker-1",
        "import pathlib\n"
        "for where in ('/', '/opt/cdc', '/home/cdc', '/var/lib/cdc', '/tmp'):\n"
        "    try: (pathlib.Path(where) / 'try').touch(); print('wrote', where)\n"
        "    except OSError: print('refused', where)",
    )
    wrote = {line.split()[1] for line in told.splitlines() if line.startswith("wrote")}
    if wrote != {"/var/lib/cdc", "/tmp"}:
        raise Wrong(f"written to {sorted(wrote)}")


def image_has_no_build_tools(project: Project) -> None:
    """What is shipped has no pip and no compiler of its own."""
    told = project.python("worker-1", "import importlib.util as u; print(u.find_spec('pip'), u.find_spec('hatchling'))")
    if told.split() != ["None", "None"]:
        raise Wrong(told)


def page_wants_a_token(project: Project) -> None:
    """The page's data wants a token; with one it shows both workers."""
    ask = (
        "import json, sys, urllib.request as u, urllib.error as e\n"
        "token = [l.split()[1] for l in open('/run/cdc/web-tokens') if l.startswith('read')][0]\n"
        "url = 'http://worker-2:6066/api/stages'\n"
        "try: print(u.urlopen(url, timeout=5).status)\n"
        "except e.HTTPError as refused: print(refused.code)\n"
        "found = u.urlopen(u.Request(url, headers={'Authorization': 'Bearer ' + token}), timeout=10)\n"
        "print(json.dumps({w['name']: w['error'] for w in json.load(found)['workers']}))"
    )
    code, told = project.python("worker-1", ask).splitlines()
    if code != "401" or json.loads(told) != {"worker-1": None, "worker-2": None}:
        raise Wrong(f"without a token {code}, with one {told}")


def prometheus_scrapes_both(project: Project) -> None:
    """Prometheus scrapes both workers."""
    ask = (
        "import json, urllib.request as u\n"
        "found = json.load(u.urlopen('http://prometheus:9090/api/v1/query?query=sum(up)', timeout=5))\n"
        "print(found['data']['result'][0]['value'][1])"
    )
    _wait(lambda: project.python("worker-1", ask, check=False).strip() == "2", "two targets that are up")


def other_worker_takes_over(project: Project) -> None:
    """A worker that is killed costs nothing: the other does its work, and the audit adds up."""
    project.docker("kill", project.container("worker-1"))
    ran = project.compose(
        "run", "--rm", "--no-deps", "demo", "demo", "--here", "--rate", RATE, "--changes", CHANGES, "--output", "json",
        seconds=READY_SECONDS,
    )  # fmt: skip
    figures = json.loads(ran.strip().splitlines()[-1])
    if figures["lost"] or figures["duplicated"] or figures["out_of_order"]:
        raise Wrong(str(figures))
    project.docker("exec", project.container("worker-2"), "cdc", "status", "--audit", seconds=120)
    project.compose("start", "worker-1")
    _wait(lambda: project.health("worker-1") == "healthy", "worker-1 to be back")


def stops_in_order(project: Project) -> None:
    """SIGTERM ends a worker as process 1 in order, exit code 0."""
    project.compose("stop", "worker-1")
    code = project.state("worker-1")["ExitCode"]
    if code != 0:
        raise Wrong(f"exit code {code}")


CHECKS = (
    workers_become_healthy, nothing_runs_as_root, root_file_system_is_read_only, image_has_no_build_tools,
    page_wants_a_token, prometheus_scrapes_both, demo_ends_well, other_worker_takes_over, stops_in_order,
)  # fmt: skip


def _wait(condition: Callable[[], bool], wanted: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise Wrong(f"waited {READY_SECONDS:g} s for {wanted}")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
