"""Settings of the database behind the lookup tables, and of secrets that stand in AWS Systems Manager (SSM)."""

from typing import Literal

from pydantic import Field

from models.configuration import SSMDBParametersName, dsn_mistake
from workers.settings.field_types import OptionalPath, OptionalSecret, OptionalText, env, one_way
from workers.settings.kafka import KafkaSettings

DATABASE_PARTS = ("host", "user", "password", "name")
"""What a connection needs; a port is 5432 unless it is given."""


class DatabaseSettings(KafkaSettings):
    """Where owners are looked up that no lookup table knows. Whether they fit together: `database_mistakes`."""

    database_url: OptionalSecret = Field(
        None, validation_alias=env("DATABASE_URL"),
        description="postgresql://user:password@host/name: asked for owners no lookup knows (needs the extra postgres)",
    )  # fmt: skip
    database_url_file: OptionalPath = Field(
        None, validation_alias=env("DATABASE_URL_FILE"),
        description="file that holds this URL; read again when it is refused",
    )  # fmt: skip
    database_timeout: float = Field(
        2.0, gt=0, le=60, validation_alias=env("CDC_DATABASE_TIMEOUT"),
        description="seconds to connect to the database, and to wait for each of its answers",
    )  # fmt: skip
    database_away: Literal["pause", "policy"] = Field(
        "pause", validation_alias=env("CDC_DATABASE_AWAY"),
        description="while the database does not answer, changes whose owner it may know wait (pause), or go on as "
        "on_missing_owner says (policy; never as dead letters)",
    )  # fmt: skip
    ssm_database_url: OptionalText = Field(
        None, validation_alias=env("CDC_SSM_DATABASE_URL"),
        description="SSM parameter that holds the whole URL of the database; read again when it is refused",
    )  # fmt: skip
    ssm_database_host: OptionalText = Field(
        None, validation_alias=env("CDC_SSM_DATABASE_HOST"), description="SSM parameters for its parts instead: host"
    )
    ssm_database_port: OptionalText = Field(
        None, validation_alias=env("CDC_SSM_DATABASE_PORT"), description="port; without it 5432"
    )
    ssm_database_user: OptionalText = Field(None, validation_alias=env("CDC_SSM_DATABASE_USER"), description="user")
    ssm_database_password: OptionalText = Field(
        None, validation_alias=env("CDC_SSM_DATABASE_PASSWORD"), description="password"
    )
    ssm_database_name: OptionalText = Field(
        None, validation_alias=env("CDC_SSM_DATABASE_NAME"), description="name of the database"
    )
    ssm_redaction_key: OptionalText = Field(
        None, validation_alias=env("CDC_SSM_REDACTION_KEY"), description="SSM parameter that holds the redaction key"
    )

    @property
    def ssm_database(self) -> SSMDBParametersName:
        """Names of the database's parameters."""
        return SSMDBParametersName(
            url=self.ssm_database_url, host=self.ssm_database_host, port=self.ssm_database_port,
            user=self.ssm_database_user, password=self.ssm_database_password, name=self.ssm_database_name,
        )  # fmt: skip

    @property
    def has_database(self) -> bool:
        """Whether a database stands behind the lookups."""
        return bool(self.database_url or self.database_url_file or self.ssm_database.given)

    @property
    def ssm_names(self) -> tuple[str, ...]:
        """Every SSM parameter the worker needs, once each."""
        names = [*self.ssm_database.given.values(), self.ssm_redaction_key or ""]
        return tuple(dict.fromkeys(name for name in names if name))


def database_mistakes(settings: DatabaseSettings) -> list[str]:
    """Settings that contradict each other, in words without values."""
    given = settings.ssm_database.given
    parts = given.keys() - {"url"}
    found = one_way(
        DATABASE_URL=settings.database_url,
        DATABASE_URL_FILE=settings.database_url_file,
        CDC_SSM_DATABASE_URL=given.get("url"),
        CDC_SSM_DATABASE_HOST=parts,
    )
    lacking = [f"CDC_SSM_DATABASE_{part.upper()}" for part in DATABASE_PARTS if part not in given]
    if parts and lacking:
        found.append(f"CDC_SSM_DATABASE_* also needs {', '.join(lacking)}")
    if settings.database_url is not None:
        mistake = dsn_mistake(settings.database_url.get_secret_value())
        found += [f"DATABASE_URL: {mistake}"] if mistake else []
    return found
