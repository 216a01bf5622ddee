"""A part of `cdc status` that does not answer is left out in time, and said."""

import asyncio
from typing import Any, cast

import pytest
from aiokafka.errors import RequestTimedOutError, TopicAuthorizationFailedError

from workers.failures import CommandError, UnreachableError
from workers.kafka.groups import GroupState
from workers.overview import look
from workers.overview.patience import answered, in_time
from workers.settings.worker import Settings
from workers.status import StageStatus

SOON = 0.05


async def never() -> str:
    await asyncio.Event().wait()
    return "never"


async def failing(error: Exception) -> str:
    raise error


async def test_what_answers_is_shown_and_nothing_is_said() -> None:
    unseen: list[str] = []
    assert await answered("pauses", asyncio.sleep(0, "found"), "none", unseen) == "found"
    assert unseen == []


async def test_what_does_not_answer_is_left_out_and_said() -> None:
    unseen: list[str] = []
    assert await answered("dead letters", never(), "none", unseen, SOON) == "none"
    assert unseen == ["dead letters: no answer within 0.05 s"]


async def test_a_client_that_hangs_while_it_closes_does_not_hold_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.overview.patience.CLEAN_UP_SECONDS", SOON)
    released = asyncio.Event()

    async def stubborn() -> str:
        try:
            return await never()
        finally:
            await released.wait()

    unseen: list[str] = []
    async with asyncio.timeout(10):
        assert await answered("rates", stubborn(), "none", unseen, SOON) == "none"
    released.set()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RequestTimedOutError(), "pauses: RequestTimedOutError"),
        (TopicAuthorizationFailedError("cdc.pauses"), "pauses: TopicAuthorizationFailedError"),
        (CommandError("it could not be read"), "pauses: it could not be read"),
    ],
)
async def test_what_fails_is_left_out_and_said(error: Exception, told: str) -> None:
    unseen: list[str] = []
    assert await answered("pauses", failing(error), "none", unseen) == "none"
    assert unseen == [told]


async def test_what_nothing_can_be_shown_without_ends_the_command_in_time() -> None:
    with pytest.raises(UnreachableError, match="topics: no answer within"):
        await in_time("Kafka: topics", never(), SOON)


async def stage_or_silence(_settings: object, _kafka: object, stage: str, _told: object) -> StageStatus:
    if stage == "enrich":
        await never()
    return StageStatus(stage, GroupState("Stable", ("a",)))


async def test_a_stage_that_does_not_answer_keeps_no_other_from_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "stage_status", stage_or_silence)
    monkeypatch.setattr(look, "standstills", nothing)
    unseen: list[str] = []
    found = await look.look_in_time(cast("Settings", None), cast("Any", None), ("bridge", "enrich"), unseen, SOON)
    assert [stage.stage for stage in found] == ["bridge"]
    assert unseen == ["enrich: no answer within 0.05 s"]


async def test_no_stage_that_answers_is_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "stage_status", stage_or_silence)
    monkeypatch.setattr(look, "standstills", nothing)
    with pytest.raises(UnreachableError, match="enrich: no answer"):
        await look.look_in_time(cast("Settings", None), cast("Any", None), ("enrich",), [], SOON)


async def nothing(*_: object) -> dict[Any, Any]:
    return {}
