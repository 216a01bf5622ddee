"""Says in the log when a stage becomes ready, and when it no longer is: who watches a take-over sees it end."""

from collections.abc import Sequence
from dataclasses import dataclass

import mode

from workers.engine.progress import why_not_ready
from workers.engine.stages import Stage

LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one stage. `reasons`: why it is not ready, in words without keys and values; none if it is."""

    reasons: tuple[str, ...]
    owned: int = 0
    """Partitions; of the stage bridge its slots."""
    planned: int = 0


STARTS = Standing(("starts",))


def news(before: Standing, now: Standing) -> str:
    """What there is to say about it, without the stage's name; empty if nothing has changed."""
    if now.reasons:
        return "" if now.reasons == before.reasons else f"is not ready: {'; '.join(now.reasons)}"
    if before == now:
        return ""
    return f"is ready, with {now.owned} of {now.planned} partitions" if now.owned else "is ready, with no partition"


class StandingLog(mode.Service):
    """Looks at the stages as long as the worker lives."""

    def __init__(self, stages: Sequence[Stage], **kwargs: object) -> None:
        self._stages = stages
        self._standings = dict.fromkeys((stage.name for stage in stages), STARTS)
        super().__init__(**kwargs)

    @mode.Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            self.look()
            await self.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Say what is new."""
        for stage in self._stages:
            now = _standing(stage)
            said = news(self._standings[stage.name], now)
            self._standings[stage.name] = now
            if said and stage.app is not None:
                stage.app.log.info("%s %s", stage.name, said)


def _standing(stage: Stage) -> Standing:
    app = stage.app
    if app is None:
        return STARTS
    reasons = tuple(why_not_ready(app))
    return Standing(reasons) if reasons else Standing((), len(app.slots.owned), app.slots.planned)
