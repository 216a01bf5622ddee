"""From the options of `cdc checkpoint` to what the positions shall become."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from workers.cli.checkpoint_offsets import offsets_of
from workers.failures import NotFoundError

if TYPE_CHECKING:
    from models.source_spec import SourceSpec
    from models.start_position import StartAt
    from workers.positions.offsets import Aim as OffsetAim
    from workers.positions.plan import Aim
    from workers.positions.stream import StreamNow
    from workers.positions.target import Target
    from workers.positions.topic import Positions
    from workers.settings.worker import Settings

    AimOf = Callable[[Settings, SourceSpec], Aim]


def offset_aim(kind: str, at_time: str | None, offsets: tuple[str, ...]) -> "OffsetAim":
    """Of `reset --stage`; `kind` is the option that was given. Raises UsageError, CommandError."""
    from workers.positions.offsets import Aim as OffsetAim  # noqa: PLC0415

    match kind:
        case "--to-start":
            return OffsetAim("start")
        case "--to-end":
            return OffsetAim("end")
        case "--offset":
            return OffsetAim("offsets", offsets=offsets_of(offsets))
    return OffsetAim("time", at_ms=_time(at_time or "").timestamp_ms)


def _time(text: str) -> "StartAt":
    from models.start_position import StartAt  # noqa: PLC0415

    try:
        start = StartAt.parse(text)
    except ValueError:
        start = StartAt()
    if start.kind != "AT_TIMESTAMP":
        raise click.UsageError("--at-time wants a time like 2026-01-15T10:00:00Z")
    return start


def reset_aim(kind: str, at_time: str | None, at_seq: tuple[str, ...]) -> "AimOf":
    """Of `reset`; `kind` is the option that was given. Raises UsageError, CommandError."""
    from models.start_position import StartAt  # noqa: PLC0415
    from workers.positions.look import service_now  # noqa: PLC0415
    from workers.positions.plan import parse_pairs  # noqa: PLC0415
    from workers.positions.stream import arrival_of  # noqa: PLC0415
    from workers.positions.target import Mark, begin_again, go_on_at  # noqa: PLC0415

    start = _time(at_time) if at_time else StartAt("LATEST" if kind == "--latest" else "TRIM_HORIZON")
    pairs = parse_pairs(at_seq)
    named = [f"--at-seq {shard}={sequence}" for shard, sequence in sorted(pairs.items())]
    what = " ".join(["reset", *(named or [kind]), *([at_time] if at_time else [])])

    def of(settings: "Settings", spec: "SourceSpec") -> "Aim":
        async def aim(stream: "StreamNow", positions: "Positions") -> "Target":
            if not pairs:
                return begin_again(what, start, stream, positions, service_now(stream))
            unknown = [shard for shard in pairs if shard not in stream.shards]
            if unknown:
                raise NotFoundError(
                    f"not listed: {', '.join(unknown)}", hint="`cdc checkpoint status` lists the shards"
                )
            marks = [
                Mark(shard, sequence, await arrival_of(settings, spec, stream.facts.arn, shard, sequence))
                for shard, sequence in sorted(pairs.items())
            ]
            return go_on_at(what, marks, stream, positions)

        return aim

    return of


def import_aim(source: str, name: str | None, *, replacing: bool, gone_ended: bool) -> "AimOf":
    """Of `import`; `name`: of the stream in the source, None if it is the configured one."""
    from workers.positions.brought import take_over  # noqa: PLC0415
    from workers.positions.look import service_now  # noqa: PLC0415
    from workers.positions.sources import bring  # noqa: PLC0415

    def of(settings: "Settings", spec: "SourceSpec") -> "Aim":
        async def aim(stream: "StreamNow", positions: "Positions") -> "Target":
            brought = await bring(settings, source, name or spec.stream)
            return take_over(
                f"import --from {source}", brought, stream, positions, service_now(stream), replacing=replacing,
                gone_ended=gone_ended,
            )  # fmt: skip

        return aim

    return of
