"""`.env.example`, made from the settings: `python -m workers.reference.env_example > .env.example`."""

import sys
from collections.abc import Iterator

from pydantic.fields import FieldInfo

from workers.settings.effective import setting_text
from workers.settings.origins import names_of
from workers.settings.worker import Settings

HEADER = """\
# Every setting of cdc-worker with its default, written by `make env-example`.
# Copy it to .env and change what you need: flags > environment > .env > default. Unknown CDC_* names are an error.
# Settings without a value are off. Credentials of AWS are not read from this file: boto3 finds them.
"""
GROUPS = {
    "kafka_bootstrap_servers": "Kafka: connection",
    "redaction_key_version": "Redaction: versions of the key",
    "event_bus_name": "EventBridge: buses",
    "database_url": "Database behind the lookups, and secrets in AWS Systems Manager",
    "publish_order": "Delivery: order, pace, window; retries and circuit breakers",
    "dead_window": "Dead letters: how many are too many",
    "health_interval": "Health: checks, CloudWatch, the canary",
    "event_source": "EventBridge: what events name, and looks at the bus",
    "environment": "Environment",
    "app": "Kafka: groups, topics, workers",
    "aws_region": "AWS: stream and bus",
    "catalogue": "Tables and redaction",
    "on_gap": "Behaviour and bounds",
    "web_port": "Web server, cluster of workers, probes",
    "log_level": "This process",
    "sandbox_dir": "Sandbox",
    "log_format": "Logs",
    "traces": "Traces",
}
"""First setting of a group -> its title; settings stand in the order of the class."""


def env_example() -> str:
    """Text of the file."""
    return "\n".join([HEADER, *_lines()]) + "\n"


def _lines() -> Iterator[str]:
    for place, (field, info) in enumerate(Settings.model_fields.items()):
        if field in GROUPS:
            yield from ("", f"# --- {GROUPS[field]}") if place else (f"# --- {GROUPS[field]}",)
        yield f"# {_sentence(info)}"
        yield f"{names_of(info)[0]}={setting_text(info.default)}"


def _sentence(info: FieldInfo) -> str:
    others = names_of(info)[1:]
    return (info.description or "") + (f" (also read: {', '.join(others)})" if others else "")


if __name__ == "__main__":
    sys.stdout.write(env_example())
