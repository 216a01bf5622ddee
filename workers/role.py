"""What one worker of all does for all of them: the one that holds slot 0 of `publish`, so that ten workers ask no more
than one."""

import logging
from abc import abstractmethod
from typing import Any, ClassVar

import mode

from models.canary import PARTITION
from workers.engine.app import StageApp
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


class RoleTask(mode.Service):
    """Looks again and again whether something is due, beside the stages; nothing that fails there ends a worker."""

    abstract: ClassVar[bool] = True
    tick: ClassVar[float] = 1.0
    """Seconds between two looks."""
    what: ClassVar[str]
    """For the log."""

    def __init__(self, role: Role, log: logging.Logger, **kwargs: Any) -> None:
        self._role = role
        self._log = log
        self._shown_by: StageApp | None = None
        super().__init__(**kwargs)

    async def look(self) -> None:
        """One look."""
        app = self._role.stage.app
        if app is not None and app is not self._shown_by:  # a crashed stage has a new one, which knows nothing of us
            self.show_in(app)
            self._shown_by = app
        await self.act()

    @abstractmethod
    async def act(self) -> None:
        """Do what is due. Never raises for the world."""

    def show_in(self, app: StageApp) -> None:
        """Add to the views and the metrics of a new app of the role's stage."""

    @mode.Service.task
    async def _again(self) -> None:
        while not self.should_stop:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001  see above
                self._log.error("%s: %s", self.what, type(error).__name__)
            await self.sleep(self.tick)
