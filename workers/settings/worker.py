"""Settings of a worker: flags > environment > `.env` > default. Every name is listed in `.env.example`.

Names of AWS and Kafka settings are the ones the Lambda pipeline used; everything of our own starts with `CDC_`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from enrichers.second_opinion import Validation
from models.environment import Environment
from models.event_address import source_mistake
from models.source_spec import SourceSpec, region_of
from models.sources_file import read_sources
from models.start_position import StartAt
from models.yaml_nodes import InvalidFile
from workers.failures import ConfigurationError
from workers.settings.archive import ArchiveSettings, archive_mistakes
from workers.settings.database import DatabaseSettings, database_mistakes
from workers.settings.event_bus import EventBusSettings, event_bus_mistakes
from workers.settings.field_types import (
    OptionalPath,
    OptionalSecret,
    OptionalText,
    SourceName,
    StartPosition,
    StreamName,
    TimeZone,
    one_way,
    secret_text,
)
from workers.settings.field_types import env as _env
from workers.settings.health import HealthSettings, health_mistakes
from workers.settings.kafka import mistakes
from workers.settings.log import LogSettings
from workers.settings.origins import Origin, Origins, find_origins, names_of, unknown_names
from workers.settings.oversize import OversizeSettings, oversize_mistakes
from workers.settings.poison import PoisonSettings
from workers.settings.preflight import PreflightSettings
from workers.settings.publish import PublishSettings
from workers.settings.redaction import KEY_HINT, MIN_KEY, RedactionConfig, key_mistakes
from workers.settings.tracing import TraceSettings
from workers.settings.web import WebSettings, web_mistakes

MEBIBYTE = 1 << 20


class EnvVariables(
    LogSettings, TraceSettings, PublishSettings, DatabaseSettings, EventBusSettings, ArchiveSettings, RedactionConfig,
    PoisonSettings, OversizeSettings, PreflightSettings, WebSettings, HealthSettings,
):  # fmt: skip
    """Where and how fast; what happens to a table stands in the catalogue and `tables.yaml`."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, populate_by_name=True,
        hide_input_in_errors=True,
    )  # fmt: skip

    environment: Environment = Field(
        Environment.PRD, validation_alias=_env("ENVIRONMENT"),
        description="LOCAL, DEV, QA or PRD; only LOCAL creates topics",
    )  # fmt: skip

    app: str = Field(
        "cdc", validation_alias=_env("CDC_APP"), description="prefix of consumer groups and transactional ids"
    )
    topic_prefix: str = Field("cdc.", validation_alias=_env("CDC_TOPIC_PREFIX"), description="prefix of every topic")
    partitions: int = Field(
        12, ge=1, le=1000, validation_alias=_env("CDC_PARTITIONS"),
        description="partitions of raw, events and dead topics; fixed for the life of a prefix",
    )  # fmt: skip
    source_slots: int = Field(
        48, ge=1, le=1000, validation_alias=_env("CDC_SOURCE_SLOTS"),
        description="partitions of the slots and checkpoints topics; fixed for the life of a prefix",
    )  # fmt: skip
    replication_factor: int = Field(
        1, ge=1, validation_alias=_env("CDC_REPLICATION_FACTOR"),
        description="of new topics: those of a worker with ENVIRONMENT=LOCAL, and of `cdc topics apply`, which takes 3 "
        "elsewhere if this is not set",
    )  # fmt: skip
    worker_name: OptionalText = Field(
        None, validation_alias=_env("CDC_WORKER_NAME"),
        description="stable name of this replica; lets a restarted worker replace its dead self at once",
    )  # fmt: skip
    data_dir: Path = Field(
        Path(".cdc"), validation_alias=_env("CDC_DATA_DIR"),
        description="scratch directory of Faust; may be lost at any time",
    )  # fmt: skip

    aws_region: str = Field(
        "us-east-1", validation_alias=_env("AWS_REGION", "AWS_DEFAULT_REGION"), description="region of stream and bus"
    )
    aws_account_id: OptionalText = Field(
        None, validation_alias=_env("AWS_ACCOUNT_ID"), description="refuse to work in any other account, if set"
    )
    aws_endpoint_url: OptionalText = Field(
        None, validation_alias=_env("AWS_ENDPOINT_URL"), description="another endpoint for AWS calls, e.g. the sandbox"
    )
    aws_client: Literal["aiohttp", "boto3"] = Field(
        "aiohttp", validation_alias=_env("CDC_AWS_CLIENT"), description="client of the hot AWS calls"
    )
    kinesis_stream_name: StreamName = Field(
        "coredb-cdc-stream", validation_alias=_env("KINESIS_STREAM_NAME"),
        description="the stream to bridge: name or ARN",
    )  # fmt: skip
    kinesis_batch_size: int = Field(
        10_000, ge=1, le=10_000, validation_alias=_env("KINESIS_BATCH_SIZE"),
        description="records per GetRecords call",
    )  # fmt: skip
    kinesis_poll_interval: float = Field(
        0.25, ge=0, le=60, validation_alias=_env("CDC_KINESIS_POLL_INTERVAL"),
        description="least seconds between reads of one shard; one that stays empty is read once a second",
    )  # fmt: skip
    kinesis_read_share: float = Field(
        0.8, ge=0, le=1, validation_alias=_env("CDC_KINESIS_READ_SHARE"),
        description="share of a shard's read limits (5 calls/s, 2 MiB/s) this worker takes; 0: only throttles slow it",
    )  # fmt: skip
    start_at: StartPosition = Field(
        "TRIM_HORIZON", validation_alias=_env("CDC_START_AT"),
        description="where a stream begins that was never read: TRIM_HORIZON, LATEST, or a time (ISO 8601)",
    )  # fmt: skip
    source: SourceName = Field(
        "core", validation_alias=_env("CDC_SOURCE"), description="name of the source: topic raw.<source>"
    )
    sources_file: OptionalPath = Field(
        None, validation_alias=_env("CDC_SOURCES"),
        description="path of sources.yaml, for several streams; KINESIS_STREAM_NAME and CDC_SOURCE are not read then",
    )  # fmt: skip
    checkpoint_table_name: OptionalText = Field(
        None, validation_alias=_env("CHECKPOINT_TABLE_NAME"),
        description="table of `cdc checkpoint import --from dynamodb:`, if that names none; nothing else reads it",
    )  # fmt: skip

    catalogue: Literal["telephony", "none"] = Field(
        "telephony", validation_alias=_env("CDC_CATALOGUE"), description="built-in tables"
    )
    tables: OptionalPath = Field(None, validation_alias=_env("CDC_TABLES"), description="path of tables.yaml")
    strict_tables: bool = Field(
        False, validation_alias=_env("CDC_STRICT_TABLES"),
        description="a record of an unknown table is a dead letter",
    )  # fmt: skip
    time_zone: TimeZone = Field(
        "UTC", validation_alias=_env("CDC_TIME_ZONE"),
        description="zone of source times that carry none, e.g. Europe/Zurich",
    )  # fmt: skip
    row_validation: Validation = Field(
        "off", validation_alias=_env("CDC_VALIDATE"),
        description="all, sample or off: which changes the pydantic models look at, too; sample is 1 in 100",
    )  # fmt: skip
    enable_data_redaction: bool = Field(
        True, validation_alias=_env("ENABLE_DATA_REDACTION"),
        description="may be false only with ENVIRONMENT=LOCAL",
    )  # fmt: skip
    redaction_key: OptionalSecret = Field(
        None, validation_alias=_env("CDC_REDACTION_KEY"),
        description="secret for HASH and TOKENIZE, at least 16 characters",
    )  # fmt: skip
    redaction_key_file: OptionalPath = Field(
        None, validation_alias=_env("CDC_REDACTION_KEY_FILE"), description="file that holds the redaction key"
    )

    on_gap: Literal["stop", "continue"] = Field(
        "stop", validation_alias=_env("CDC_ON_GAP"), description="what a position outside of the log does"
    )
    max_retry_attempts: int = Field(
        3, ge=1, validation_alias=_env("MAX_RETRY_ATTEMPTS"),
        description="fast attempts of one AWS call before it backs off",
    )  # fmt: skip
    linger: float = Field(
        0.025, ge=0, le=10, validation_alias=_env("CDC_LINGER"), description="seconds between units of a slot"
    )
    memory_budget: int = Field(
        256 * MEBIBYTE, ge=32 * MEBIBYTE, validation_alias=_env("CDC_MEMORY_BUDGET"),
        description="bytes of records in flight per worker",
    )  # fmt: skip
    session_timeout: float = Field(
        10, ge=1, le=300, validation_alias=_env("CDC_SESSION_TIMEOUT"),
        description="seconds after which the group gives the slots of a silent worker away",
    )  # fmt: skip

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", validation_alias=_env("CDC_LOG_LEVEL"), description="log level of the worker"
    )
    sandbox_dir: Path = Field(
        Path(".sandbox"), validation_alias=_env("CDC_SANDBOX_DIR"), description="state of `cdc sandbox`"
    )
    cache_dir: OptionalPath = Field(
        None, validation_alias=_env("CDC_CACHE_DIR"),
        description="Kafka jars of the sandbox; unset: the user's cache directory",
    )  # fmt: skip

    _of_file: tuple[SourceSpec, ...] = PrivateAttr(())
    _origins: Origins = PrivateAttr(default_factory=Origins)

    @property
    def sources(self) -> tuple[SourceSpec, ...]:
        """The streams: those of sources.yaml in its order, or the one of the environment."""
        if self.sources_file is not None:
            return self._of_file
        stream = self.kinesis_stream_name
        region = region_of(stream) or self.aws_region
        return (SourceSpec(self.source, stream, region, start=StartAt.parse(self.start_at)),)

    @model_validator(mode="after")
    def _go_together(self) -> "EnvVariables":
        found = [*mistakes(self, local=self.environment == "LOCAL"), *database_mistakes(self)]
        found += [*event_bus_mistakes(self), *archive_mistakes(self), *oversize_mistakes(self)]
        found += [*web_mistakes(self), *health_mistakes(self)]
        found += [mistake] if (mistake := source_mistake(self.event_source)) else []
        if self.sources_file is not None:
            try:
                self._of_file = read_sources(self.sources_file, self.aws_region, StartAt.parse(self.start_at))
            except InvalidFile as error:
                found += error.problems
        if not self.enable_data_redaction and self.environment != "LOCAL":
            found.append("ENABLE_DATA_REDACTION=false is allowed only with ENVIRONMENT=LOCAL")
        ways = {
            "CDC_REDACTION_KEY": self.redaction_key, "CDC_REDACTION_KEY_FILE": self.redaction_key_file,
            "CDC_SSM_REDACTION_KEY": self.ssm_redaction_key,
        }  # fmt: skip
        found += [*one_way(**ways), *key_mistakes(self, has_key=self.has_redaction_key)]
        if found:
            raise ValueError("\n".join(found))
        return self

    @property
    def origins(self) -> Mapping[str, Origin]:
        """{field: where its value came from when the settings were read}; empty if they were made by hand."""
        return self._origins.by_field

    def topic(self, name: str) -> str:
        """Full topic name, e.g. `events` -> `cdc.events`."""
        return f"{self.topic_prefix}{name}"

    @property
    def has_redaction_key(self) -> bool:
        """Whether anything says what the key is."""
        return bool(self.redaction_key or self.redaction_key_file or self.ssm_redaction_key)

    def redaction_secret(self) -> bytes:
        """The key for HASH and TOKENIZE. Raises ConfigurationError if none is set or the file cannot be read, and what
        SSM answers if it stands there."""
        secret = secret_text("CDC_REDACTION_KEY", self.redaction_key, self.redaction_key_file)
        if self.ssm_redaction_key:
            from workers.settings.secrets import read_parameters  # noqa: PLC0415  boto3 takes a while to import

            secret = read_parameters(self, (self.ssm_redaction_key,))[self.ssm_redaction_key]
        if len(secret) < MIN_KEY:
            why = f"no redaction key of at least {MIN_KEY} characters"
            raise ConfigurationError(why, hint=f"set CDC_REDACTION_KEY or CDC_REDACTION_KEY_FILE; {KEY_HINT}")
        return secret.encode()


Settings = EnvVariables
"""What the code calls them."""


class SettingsError(ConfigurationError):
    """Settings that are wrong, unknown, or do not go together: all of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems), hint=".env.example has every setting, docs/deployment.md sources.yaml")
        self.problems = problems


def environment_names() -> dict[str, str]:
    """Every environment name the product reads, with its description."""
    return {name: info.description or "" for info in Settings.model_fields.values() for name in names_of(info)}


def load_settings(overrides: Mapping[str, Any] | None = None, *, env_file: str | None = ".env") -> Settings:
    """Read the settings. Raises SettingsError with every mistake at once; values are never shown (P6)."""
    problems = unknown_names(environment_names(), os.environ, env_file)
    settings = None
    try:
        settings = Settings(_env_file=env_file, **(overrides or {}))
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            where = ".".join(str(part) for part in item["loc"])
            said = item["msg"].removeprefix("Value error, ").splitlines()
            problems += [f"{where}: {line}" if where else line for line in said]
    if problems or settings is None:
        raise SettingsError(problems)
    settings._origins = find_origins(Settings.model_fields, overrides or (), os.environ, env_file)
    return settings
