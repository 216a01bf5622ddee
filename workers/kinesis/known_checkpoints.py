"""What a slot knows of the shards of one stream: by its own checkpoints, and by those of other slots."""

from models.checkpoint import Boot, Checkpoint
from workers.kinesis.checkpoints import CheckpointBook, CheckpointWatch
from workers.kinesis.source import Source


class KnownCheckpoints:
    """See lineage.Known. `began_at`: when the slot was opened, in monotonic seconds."""

    def __init__(self, own: CheckpointBook, watch: CheckpointWatch, began_at: float, source: Source, arn: str) -> None:
        self._own = own
        self._watch = watch
        self._source = source
        self._arn = arn
        self.others = watch.past(began_at)
        """Whether the checkpoints of other slots may be believed: what was there before this slot was opened may have
        been taken back by `cdc checkpoint reset`, which wants all workers to be away."""
        self.boot: Boot | None = own.boots.get(arn) or (watch.book.boots.get(arn) if self.others else None)

    def checkpoint(self, shard: str) -> Checkpoint | None:
        """Our own first: it is never late."""
        key = (self._arn, shard)
        others = self._watch.book.checkpoints if self.others else {}
        return self._own.checkpoints.get(key) or others.get(key)

    def vanished(self, shard: str) -> bool:
        """See lineage.Known."""
        return self.others and self._source.directory.absent(shard, self._watch.complete_as_of)
