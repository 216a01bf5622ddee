"""Which worker makes the checks: the one that holds slot 0 of `publish`, so that ten workers ask no more than one."""

from models.canary import PARTITION
from workers.engine.stages import Stage


class Role:
    """Whether this process has the role."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._held = False

    @property
    def held(self) -> bool:
        """While nobody holds anything, because Kafka is away or the stage crashed, the last holder keeps it: just then
        somebody has to tell how things are."""
        app = self.stage.app
        if app is not None and (app.slots.owned or app.ready):
            self._held = PARTITION in app.slots.owned
        return self._held
