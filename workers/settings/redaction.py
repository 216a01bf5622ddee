"""Settings of the key that hashes and tokens are made with, and of the other key while one replaces the other."""

from typing import NamedTuple

from pydantic import Field

from workers.failures import ConfigurationError
from workers.settings.field_types import OptionalPath, OptionalSecret, OptionalVersion, env, secret_text
from workers.settings.kafka import KafkaSettings

MIN_KEY = 16
KEY_HINT = "`openssl rand -hex 32` makes a good one"


class KeyOfVersion(NamedTuple):
    """A redaction key and the version that its hashes and tokens carry."""

    key: bytes
    version: int


class RedactionConfig(KafkaSettings):
    """Two keys at once are for the time of a rotation: docs/runbook.md."""

    redaction_key_version: int = Field(
        1, ge=1, le=999_999, validation_alias=env("CDC_REDACTION_KEY_VERSION"),
        description="version of CDC_REDACTION_KEY, part of every hash and token: h1.…, tok1_…",
    )  # fmt: skip
    redaction_key_other: OptionalSecret = Field(
        None, validation_alias=env("CDC_REDACTION_KEY_OTHER"),
        description="while keys change: the next or the former key; events name the tokens of both",
    )  # fmt: skip
    redaction_key_other_file: OptionalPath = Field(
        None, validation_alias=env("CDC_REDACTION_KEY_OTHER_FILE"), description="file that holds the other key"
    )
    redaction_key_other_version: OptionalVersion = Field(
        None, ge=1, le=999_999, validation_alias=env("CDC_REDACTION_KEY_OTHER_VERSION"),
        description="version of the other key",
    )  # fmt: skip

    def other_redaction_secret(self) -> KeyOfVersion | None:
        """The other key; None if there is none. Raises ConfigurationError if it is short or cannot be read."""
        if self.redaction_key_other_version is None:
            return None
        secret = secret_text("CDC_REDACTION_KEY_OTHER", self.redaction_key_other, self.redaction_key_other_file)
        if len(secret) < MIN_KEY:
            raise ConfigurationError(
                f"the other redaction key has less than {MIN_KEY} characters",
                hint=f"set CDC_REDACTION_KEY_OTHER or CDC_REDACTION_KEY_OTHER_FILE; {KEY_HINT}",
            )
        return KeyOfVersion(secret.encode(), self.redaction_key_other_version)


def key_mistakes(settings: RedactionConfig, *, has_key: bool) -> list[str]:
    """Settings of the two keys that contradict each other, in words without values."""
    found = []
    if settings.redaction_key_other is not None and settings.redaction_key_other_file is not None:
        found.append("set CDC_REDACTION_KEY_OTHER or CDC_REDACTION_KEY_OTHER_FILE, not both")
    other = settings.redaction_key_other is not None or settings.redaction_key_other_file is not None
    version = settings.redaction_key_other_version
    if other != (version is not None):
        found.append("CDC_REDACTION_KEY_OTHER and CDC_REDACTION_KEY_OTHER_VERSION belong together")
    if version == settings.redaction_key_version:
        found.append("CDC_REDACTION_KEY_VERSION and CDC_REDACTION_KEY_OTHER_VERSION are the same; a key is one version")
    if other and not has_key:
        found.append("CDC_REDACTION_KEY_OTHER is set without CDC_REDACTION_KEY, which hashes and tokens are made with")
    return found
