"""What may be done about large events is said in words, and what contradicts itself is refused."""

import pytest

from enrichers.oversize import Step
from workers.settings.worker import Settings, SettingsError, load_settings


def refused(monkeypatch: pytest.MonkeyPatch, **names: str) -> str:
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings(env_file=None)
    return "; ".join(caught.value.problems)


def test_every_step_may_be_taken_unless_somebody_says_otherwise() -> None:
    ladder = Settings(_env_file=None).ladder
    assert (ladder.steps, ladder.bucket) == (frozenset(Step), None)


def test_steps_are_named_in_any_order() -> None:
    ladder = Settings(_env_file=None, on_oversize="claim-check, images", claim_check_bucket="claims").ladder
    assert ladder.steps == {Step.IMAGES, Step.CLAIM_CHECK}


def test_dead_letter_alone_takes_no_step() -> None:
    assert Settings(_env_file=None, on_oversize="dead-letter").ladder.steps == frozenset()


@pytest.mark.parametrize("value", ["images,shrink", "dead-letter,images", " , "])
def test_a_step_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert "images, truncate, claim-check" in refused(monkeypatch, CDC_ON_OVERSIZE=value)


def test_a_bucket_that_would_not_be_used_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refused(monkeypatch, CDC_ON_OVERSIZE="truncate", CDC_CLAIM_CHECK_BUCKET="claims")
    assert "CDC_ON_OVERSIZE is without claim-check" in told


def test_a_key_without_a_bucket_and_a_bucket_with_a_wrong_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "without CDC_CLAIM_CHECK_BUCKET" in refused(monkeypatch, CDC_CLAIM_CHECK_KMS_KEY="alias/claims")
    assert "not the name of a bucket" in refused(monkeypatch, CDC_CLAIM_CHECK_BUCKET="s3://claims")


@pytest.mark.parametrize("source", ["aws", "AWS.events", "aws.", " ", "x" * 300])
def test_a_source_that_no_bus_takes_is_refused_at_start(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    assert "EVENT_SOURCE" in refused(monkeypatch, EVENT_SOURCE=source)
