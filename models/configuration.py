"""Where secrets of the worker come from: the database's credentials, and parameters of AWS Systems Manager (SSM)."""

from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

DATABASE_SCHEMES = ("postgresql", "postgres")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class DatabaseCredentials(_Frozen):
    """How to reach the database behind the lookup tables, and as whom."""

    host: str
    user: str
    password: SecretStr
    name: str
    port: int = Field(5432, ge=1, le=65535)

    def dsn(self) -> SecretStr:
        """The connection string; whatever stands in user, password and name is quoted."""
        user, password = quote(self.user, safe=""), quote(self.password.get_secret_value(), safe="")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return SecretStr(f"postgresql://{user}:{password}@{host}:{self.port}/{quote(self.name, safe='')}")


def dsn_mistake(dsn: str) -> str | None:
    """What is wrong with a connection string, without showing any of it; None if it looks like one."""
    try:
        parts = urlsplit(dsn)
        if parts.scheme not in DATABASE_SCHEMES:
            return "it must begin with postgresql://"
        _ = parts.port
    except ValueError:
        return "it is no URL; quote special characters of the password, such as / ? # [ ] @, with %"
    return None


class SSMConfigParams(_Frozen):
    """Where SSM is, and how often a call is tried."""

    region: str
    endpoint: str | None = None
    attempts: int = 3


class SSMDBParametersName(_Frozen):
    """Names of the parameters that hold the database's credentials: one with the whole URL, or one for each part."""

    url: str | None = None
    host: str | None = None
    port: str | None = None
    user: str | None = None
    password: str | None = None
    name: str | None = None

    @property
    def given(self) -> dict[str, str]:
        """{part: name of its parameter}, of those that are set."""
        return {part: name for part, name in self.model_dump().items() if name}


class ParameterOptions(_Frozen):
    """How parameters are read: secure ones are decrypted by SSM."""

    with_decryption: bool = True


class ParameterHandlerProps(_Frozen):
    """One question to SSM: these parameters, at most ten."""

    names: tuple[str, ...] = Field(max_length=10)
    options: ParameterOptions = ParameterOptions()


class ParameterResponse(_Frozen):
    """One parameter as SSM gave it."""

    name: str
    value: SecretStr
    version: int
