"""`.env.example`, made from the settings: `python -m workers.env_example > .env.example`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from workers.settings import Settings

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
    "environment": "Environment",
    "app": "Kafka: groups, topics, workers",
    "aws_region": "AWS: stream and bus",
    "catalogue": "Tables and redaction",
    "on_gap": "Behaviour and bounds",
    "web_port": "Web server, cluster of workers, probes",
    "log_level": "This process",
    "sandbox_dir": "Sandbox",
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
        yield f"{_name(info)}={_text(info.default)}"


def _name(info: FieldInfo) -> str:
    alias = info.validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else str(alias)


def _sentence(info: FieldInfo) -> str:
    alias = info.validation_alias
    others = [str(choice) for choice in alias.choices[1:]] if isinstance(alias, AliasChoices) else []
    return (info.description or "") + (f" (also read: {', '.join(others)})" if others else "")


def _text(default: Any) -> str:
    match default:
        case None:
            return ""
        case bool():
            return str(default).lower()
        case Path():
            return default.as_posix()
        case _:
            return str(default)


if __name__ == "__main__":
    sys.stdout.write(env_example())
