"""Ours: the publish stage as `cdc worker --stages publish` runs it: ordered per entity, signed, receipts and offsets in
one transaction."""

import argparse
import functools
import logging
import os
import sys
from argparse import Namespace

from bench.peers.bridge import FOREIGN
from bench.peers.stream import REGION
from workers.app import make_publish
from workers.engine.stages import StageWorker, leave
from workers.settings.worker import Settings, load_settings


def settings_of(given: Namespace) -> Settings:
    """Defaults, but for where Kafka and the bus are."""
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    overrides = {
        "environment": "LOCAL", "app": given.group, "topic_prefix": f"{given.group}.", "partitions": given.partitions,
        "kafka_bootstrap_servers": given.bootstrap, "aws_endpoint_url": given.endpoint, "aws_region": REGION,
        "event_bus_name": given.bus, "data_dir": given.directory,
    }  # fmt: skip
    return load_settings(overrides, env_file=None)


def main() -> None:
    """Run until a signal."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap", "group", "directory", "endpoint"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--bus", default="bench", help="name or ARN")
    given, _ = parser.parse_known_args()  # the rest of a Job means nothing here
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    leave(StageWorker({"publish": functools.partial(make_publish, settings_of(given))}).run())


if __name__ == "__main__":
    main()
