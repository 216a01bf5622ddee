"""The file of `cdc checkpoint export`: boot record and checkpoints of every stream, in the format of the topic.

`{"format": "cdc-checkpoints", "version": 1, "at": ISO, "app": …, "streams": [{"stream": ARN, "boot": {…} or null,
"checkpoints": [{…}]}]}`. What stands in boot and checkpoints is the value of the record (models/checkpoint.py), which
has a version of its own.
"""

import json
from typing import Any

from models.checkpoint import Boot, Checkpoint
from models.position import stream_name
from workers.failures import ConfigurationError, NotFoundError, RefusedError
from workers.positions.brought import Brought
from workers.positions.topic import Positions

FORMAT = "cdc-checkpoints"
VERSION = 1


def document_of(positions: Positions, app: str, at: str | None) -> dict[str, Any]:
    """All streams. Raises RefusedError while a change of one is not completed."""
    streams = []
    for arn in positions.streams():
        boot = positions.boots.get(arn)
        if boot is not None and boot.unfinished:
            raise RefusedError(f"not completed: cdc checkpoint {boot.unfinished}", hint="run that again first")
        found = [json.loads(checkpoint.encode()) for _, checkpoint in positions.of(arn).values()]
        streams.append({
            "stream": arn, "boot": json.loads(boot.encode()) if boot is not None else None,
            "checkpoints": sorted(found, key=lambda one: str(one["shard"])),
        })  # fmt: skip
    return {"format": FORMAT, "version": VERSION, "at": at, "app": app, "streams": streams}


def read_document(content: bytes, stream: str) -> Brought:
    """The part about one stream (name or ARN). Raises ConfigurationError for anything else, without quoting it, and
    NotFoundError if the stream is not in it."""
    try:
        document = json.loads(content)
        if document["format"] != FORMAT or document["version"] != VERSION:
            raise ValueError
        named = [one for one in document["streams"] if stream in (one["stream"], stream_name(one["stream"]))]
        if len(named) > 1:
            arns = ", ".join(sorted(str(one["stream"]) for one in named))
            raise NotFoundError(f"the file has several streams {stream}", hint=f"--stream ARN, one of {arns}")
        if not named:
            raise NotFoundError(f"the file says nothing of stream {stream}", hint="--stream names another one in it")
        (found,) = named
        boot = Boot.decode(json.dumps(found["boot"]).encode()) if found["boot"] is not None else None
        checkpoints = [Checkpoint.decode(json.dumps(one).encode()) for one in found["checkpoints"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigurationError(
            "not the JSON of an export",
            hint=f"{FORMAT} of version {VERSION}, by `cdc checkpoint export`; or what `aws dynamodb scan` printed",
        ) from None
    return Brought({one.shard: one for one in checkpoints}, boot)
