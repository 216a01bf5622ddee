"""Where the secrets of a worker come from: the environment, files, or parameters of AWS Systems Manager."""

from pydantic import SecretStr, ValidationError

from models.configuration import DatabaseCredentials, SSMConfigParams, dsn_mistake
from workers.aws.parameters import parameter_handler
from workers.failures import ConfigurationError
from workers.settings.field_types import secret_text
from workers.settings.worker import Settings


def load_parameters(settings: Settings) -> None:
    """Read every SSM parameter that the settings name, in one question. Raises what `read_parameters` raises."""
    if settings.ssm_names:
        read_parameters(settings, settings.ssm_names)


def read_parameters(settings: Settings, names: tuple[str, ...], *, again: bool = False) -> dict[str, str]:
    """{name: value}. Raises ConfigurationError for one that does not exist, DeniedError, UnreachableError."""
    config = SSMConfigParams(
        region=settings.aws_region, endpoint=settings.aws_endpoint_url, attempts=settings.max_retry_attempts
    )
    found = parameter_handler(config).read(names, again=again)
    return {name: parameter.value.get_secret_value().strip() for name, parameter in found.items()}


def database_dsn(settings: Settings, *, again: bool = False) -> SecretStr:
    """The database's connection string. `again`: not what is remembered, it was refused. Blocks.

    Raises ConfigurationError if it cannot be read or is none, and what `read_parameters` raises."""
    names = settings.ssm_database.given
    if not names:
        text = secret_text("DATABASE_URL", settings.database_url, settings.database_url_file)
    else:
        values = read_parameters(settings, tuple(names.values()), again=again)
        parts = {part: values[name] for part, name in names.items()}
        text = parts["url"] if "url" in parts else _credentials(parts).dsn().get_secret_value()
    if mistake := dsn_mistake(text):
        raise ConfigurationError(
            f"the URL of the database is none: {mistake}", hint="postgresql://user:password@host:5432/name"
        )
    return SecretStr(text)


def _credentials(parts: dict[str, str]) -> DatabaseCredentials:
    try:
        return DatabaseCredentials.model_validate(parts)
    except ValidationError as error:
        wrong = ", ".join(f"CDC_SSM_DATABASE_{str(item['loc'][0]).upper()}" for item in error.errors())
        raise ConfigurationError(f"the parameter of {wrong} holds no valid value", hint="mend it in SSM") from None
