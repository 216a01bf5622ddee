"""Secrets from AWS Systems Manager (SSM): read once at the start, and again when they were refused."""

import threading
from collections.abc import Iterable, Mapping

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from models.configuration import ParameterHandlerProps, ParameterResponse, SSMConfigParams
from workers.aws.errors import AwsDenied, AwsThrottled, AwsUnavailable, aws_error
from workers.failures import ConfigurationError, DeniedError, UnreachableError

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 10.0
DENIED_HINT = "allow ssm:GetParameters on them, and kms:Decrypt on the key that encrypts them"


class ParameterHandler:
    """Parameters by name. Values never reach a text of an error or a log (P6)."""

    def __init__(self, config: SSMConfigParams) -> None:
        self._config = config
        self._read: dict[str, ParameterResponse] = {}
        self._reading = threading.Lock()

    def read(self, names: Iterable[str], *, again: bool = False) -> Mapping[str, ParameterResponse]:
        """{name: parameter}, from what is known or, all that is not in one question, from SSM; `again`: all of them.

        Blocks. Raises ConfigurationError for parameters that do not exist, DeniedError, UnreachableError."""
        wanted = tuple(dict.fromkeys(names))
        with self._reading:
            unknown = tuple(name for name in wanted if again or name not in self._read)
            if unknown:
                self._read |= self._ask(ParameterHandlerProps(names=unknown))
            return {name: self._read[name] for name in wanted}

    def _ask(self, props: ParameterHandlerProps) -> dict[str, ParameterResponse]:
        config = self._config
        try:
            client = boto3.Session(region_name=config.region).client(
                "ssm", endpoint_url=config.endpoint,
                config=Config(
                    retries={"mode": "standard", "total_max_attempts": config.attempts},
                    connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT,
                ),
            )  # fmt: skip
            answer = client.get_parameters(Names=list(props.names), WithDecryption=props.options.with_decryption)
        except ClientError as error:
            raise _refused(error) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise DeniedError(
                "SSM cannot be asked: boto3 found no AWS credentials", hint="boto3 does not read .env"
            ) from None
        except BotoCoreError as error:
            raise UnreachableError(
                f"SSM does not answer ({type(error).__name__})", hint="check AWS_REGION, AWS_ENDPOINT_URL, the network"
            ) from None
        if answer["InvalidParameters"]:
            missing = ", ".join(sorted(answer["InvalidParameters"]))
            raise ConfigurationError(
                f"SSM has no parameter {missing} in {config.region}", hint="create it, or mend the CDC_SSM_* setting"
            )
        return {
            found["Name"]: ParameterResponse(name=found["Name"], value=found["Value"], version=found["Version"])
            for found in answer["Parameters"]
        }


def _refused(error: ClientError) -> ConfigurationError | DeniedError | UnreachableError:
    found = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    told = aws_error(found.get("Code", "Unknown"), "", status)
    match told:
        case AwsDenied():
            return DeniedError(f"SSM denies the parameters ({told.code})", hint=DENIED_HINT)
        case AwsThrottled() | AwsUnavailable():
            return UnreachableError(f"SSM does not answer ({told.code})", hint="try again in a minute")
        case _:
            return ConfigurationError(f"SSM refuses the request ({told.code})", hint="check the CDC_SSM_* settings")


_handlers: dict[SSMConfigParams, ParameterHandler] = {}


def parameter_handler(config: SSMConfigParams) -> ParameterHandler:
    """The one of this process: what it has read at the start serves every stage and every restart of one."""
    return _handlers.setdefault(config, ParameterHandler(config))
