"""Ours: the bridge as `cdc worker --stages bridge` runs it, exactly once, signed, with the keys of the rows.

It only reads faster than AWS allows: the pause between two reads of a shard is taken out, as the peers have none.
"""

import functools
import logging
import os
import sys
from argparse import Namespace

from bench.peers.stream import REGION, arguments
from workers.app import make_bridge
from workers.engine.stages import StageWorker, leave
from workers.settings.worker import Settings, load_settings

FOREIGN = ("CDC_", "AWS_", "KAFKA_", "KINESIS_", "EVENT_")
"""Settings of whoever started us."""


def settings_of(given: Namespace) -> Settings:
    """Defaults, but for where Kafka and the stream are, and for the pace: the stream of the bench has no limits. Topics
    are made as in a sandbox."""
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    overrides = {
        "environment": "LOCAL", "app": given.group, "topic_prefix": f"{given.group}.", "partitions": given.partitions,
        "kafka_bootstrap_servers": given.bootstrap, "aws_endpoint_url": given.endpoint, "aws_region": REGION,
        "kinesis_stream_name": given.source, "data_dir": given.directory,
    }  # fmt: skip
    if not given.paced:
        overrides["kinesis_read_share"] = 0.0
    return load_settings(overrides, env_file=None)


def main() -> None:
    """Run until a signal."""
    parser = arguments(__doc__)
    parser.add_argument("--paced", action="store_true", help="keep the pauses that AWS's limits ask for")
    given = parser.parse_args()
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    settings = settings_of(given)
    leave(StageWorker({"bridge": functools.partial(make_bridge, settings)}).run())


if __name__ == "__main__":
    main()
