"""What only an operator can get out of the way of a stream."""

from collections.abc import Iterator

from models.checkpoint import Boot, unfinished_change
from workers.kinesis.checkpoints import CheckpointBook
from workers.kinesis.source import Bridge, Source


def obstacle(bridge: Bridge, source: Source, boot: Boot | None, own: CheckpointBook) -> str:
    """Why nothing of the stream may be read; "" if nothing is in the way. `own`: the checkpoints of one slot, which are
    there before the boot record is."""
    label, facts = source.directory.label, source.directory.facts
    twin = bridge.twin(source)
    if twin is not None:
        return f"the sources {twin.name} and {source.name} are one stream, {source.arn}"
    names = {checkpoint.source for checkpoint in own.of(source.arn or "")}
    names |= {boot.source} if boot is not None else set()
    was = next(iter(sorted(names - {"", source.name})), "")
    if was:
        return (
            f"stream {label} is read as source {was}, not as {source.name}: what came so far stands in raw.{was}. "
            "Put the name back"
        )
    if boot is not None and boot.unfinished:
        return unfinished_change(boot)
    if boot is not None and facts is not None and boot.created_ms != facts.created_ms:
        return (
            f"stream {label} was deleted and made anew: its positions are of no use. "
            f"`cdc checkpoint reset --source {source.name} --trim-horizon` begins it again"
        )
    return ""


def strangers(bridge: Bridge, own: CheckpointBook) -> Iterator[str]:
    """Streams that a worker with other sources reads. Both share the slots: what one does not know, nobody reads while
    it holds the slot."""
    known = {source.arn for source in bridge.sources}
    if None in known:
        return  # it may be that one
    here = {checkpoint.stream for checkpoint in own.checkpoints.values() if not checkpoint.ended}
    for stream in sorted(here - known):
        if not any(spec.serves(stream) for spec in bridge.disabled):
            yield (
                f"{stream} has positions and is no source of this worker: nobody reads its shards in the slots this "
                "worker holds. All workers need the same sources.yaml"
            )
