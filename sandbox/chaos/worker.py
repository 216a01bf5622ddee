"""One worker process of a chaos run: `python -m sandbox.chaos.worker --plan … --name … --stages …`."""

import argparse
import functools
import logging
import random
import sys
from collections.abc import Callable
from pathlib import Path

from sandbox.chaos.bridging import bridge_settings
from sandbox.chaos.plan import Plan
from sandbox.chaos.publishing import publish_settings
from sandbox.chaos.stages import make_count, make_deliver
from workers.app import make_bridge, make_publish
from workers.engine.app import StageApp
from workers.engine.options import EngineOptions
from workers.engine.stages import StageWorker, leave
from workers.web.server import WebServer

QUIET = ("faust", "mode", "aiokafka", "asyncio", "kafka", "aiohttp")


def main() -> None:
    """Run until a signal; the exit code is the engine's."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("plan", "name", "stages", "bootstrap", "sink", "data"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--named", action="store_true")
    given = parser.parse_args()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", force=True
    )
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("workers", "aiokafka.consumer.group_coordinator"):
        logging.getLogger(name).setLevel(logging.WARNING)
    plan = Plan.load(Path(given.plan))
    data, stable = Path(given.data), given.name if given.named else None
    options = EngineOptions(
        bootstrap=given.bootstrap,
        partitions=plan.workload.partitions,
        worker_name=stable,
        session_timeout=plan.workload.session_timeout,
        on_gap=plan.workload.on_gap,
        data_dir=str(data),
    )
    settings = bridge_settings(plan, given.bootstrap, data, name=stable)
    dice = random.Random(f"{plan.seed}:{given.name}")
    factories: dict[str, Callable[[], StageApp]] = {
        "count": functools.partial(make_count, plan, options, dice),
        "deliver": functools.partial(make_deliver, plan, options, given.sink),
        "bridge": lambda: make_bridge(settings),
        "publish": lambda: make_publish(publish_settings(plan, given.bootstrap, data, name=stable)),
    }
    process = StageWorker(
        {stage: factories[stage] for stage in given.stages.split(",")},
        beside=lambda running: [WebServer(running, settings, given.name, given.port)],
    )
    leave(process.run())


if __name__ == "__main__":
    main()
