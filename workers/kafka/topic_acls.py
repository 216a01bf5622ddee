"""What Kafka has to allow the worker, as lines for kafka-acls."""

import shlex
from collections.abc import Iterator

from workers.settings.worker import Settings

WORKER_ON_TOPICS = ("Read", "Write", "Describe", "DescribeConfigs")
OWNER_ON_TOPICS = ("Create", "AlterConfigs", "Describe", "DescribeConfigs")


def principal_of(settings: Settings) -> str:
    """Whom Kafka sees: the user of PLAIN and SCRAM. Certificates and tokens have names that only the broker knows."""
    return f"User:{settings.kafka_username or 'cdc-worker'}"


def acl_lines(settings: Settings, worker: str, owner: str) -> Iterator[str]:
    """Commands that allow `worker` to run all stages and `owner` to run `cdc topics apply`; all by prefix."""
    app = f"{settings.app}-"
    for prefix in (settings.topic_prefix, app):
        yield _line(worker, WORKER_ON_TOPICS, "--topic", prefix)
    yield _line(worker, ("Read", "Describe"), "--group", app)
    yield _line(worker, ("Write", "Describe"), "--transactional-id", app)
    for prefix in (settings.topic_prefix, app):
        yield _line(owner, OWNER_ON_TOPICS, "--topic", prefix)


def _line(principal: str, operations: tuple[str, ...], kind: str, prefix: str) -> str:
    allowed = " ".join(f"--operation {operation}" for operation in operations)
    return (
        f'kafka-acls --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --add --allow-principal {shlex.quote(principal)} '
        f"{allowed} {kind} {shlex.quote(prefix)} --resource-pattern-type prefixed"
    )
