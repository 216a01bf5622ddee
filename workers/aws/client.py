"""The client of the hot calls: over aiohttp, signed here. boto3 finds the credentials and does everything cold.

Retries are the caller's: hidden ones would reorder events and hide duplicates.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any, Protocol

import aiohttp
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

from models.source_spec import SourceSpec
from workers.aws.assumed_role import assumed
from workers.aws.errors import AwsDenied, AwsUnavailable, aws_error
from workers.aws.signature import Credentials, signed_headers
from workers.aws.wire import CborWire, IWire, JsonWire
from workers.failures import ConfigurationError
from workers.settings.worker import Settings

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 10.0
CONNECTIONS = 64
COLD_THREADS = 4
"""Of one session: calls that boto3 makes, and looks for credentials."""


class IRequester(Protocol):
    """One AWS service: `call` sends the operation and returns the body of the answer."""

    async def call(self, operation: str, request: bytes) -> bytes:
        """`request` is the body, in the service's own protocol. Raises AwsError."""

    async def close(self) -> None:
        """Close connections."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where calls go, and as whom. Without a role: with the worker's own credentials."""

    region: str
    endpoint: str | None = None
    """Instead of AWS's own."""
    role: str | None = None
    external_id: str | None = None


def reach_of(source: SourceSpec) -> Reach:
    """Of one stream."""
    return Reach(source.region, source.endpoint, source.role, source.external_id)


class Session:
    """Credentials, region and endpoint of one worker, or of one of its sources, shared by its clients."""

    def __init__(self, settings: Settings, reach: Reach | None = None) -> None:
        self.settings = settings
        reach = reach or Reach(settings.aws_region)
        self.region = reach.region
        self._url = reach.endpoint or settings.aws_endpoint_url
        self._boto = boto3.Session(region_name=reach.region)
        if reach.role is not None:
            timeouts = Config(connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT)
            self._boto = assumed(self._boto, reach.role, reach.external_id, settings.aws_endpoint_url, timeouts)
        self._provider: Any = None
        # Of its own: a service that hangs holds up no other session, and nothing else that needs a thread.
        self._threads = ThreadPoolExecutor(COLD_THREADS, thread_name_prefix="aws")
        self._refresh: asyncio.Task[Any] | None = None
        self._kept: dict[str, Any] = {}
        self._making = threading.Lock()

    async def credentials(self) -> Credentials:
        """Current keys. boto3 refreshes them itself; where that may block, everybody waits for one thread."""
        if self._provider is None or getattr(self._provider, "refresh_needed", lambda: False)():
            if self._refresh is None or self._refresh.done():
                self._refresh = asyncio.create_task(self._in_thread(self._frozen))
            frozen = await asyncio.shield(self._refresh)
        else:
            frozen = self._provider.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    def _frozen(self) -> Any:
        if self._provider is None:
            self._provider = self._boto.get_credentials()
        if self._provider is None:
            raise NoCredentialsError
        return self._provider.get_frozen_credentials()

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _translated, call)

    def endpoint(self, service: str) -> str:
        """URL of a service: the configured one, or AWS's own."""
        if self._url:
            return self._url.rstrip("/")
        suffix = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return f"https://{service}.{self.region}.{suffix}"

    def boto(self, service: str, config: Config | None = None) -> Any:
        """A boto3 client, by default one for cold calls, with boto's own retries."""
        cold = Config(
            retries={"mode": "standard", "total_max_attempts": self.settings.max_retry_attempts},
            connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT,
            # Another endpoint than AWS's has no name for each bucket.
            s3={"addressing_style": "path"} if self._url else None,
        )  # fmt: skip
        return self._boto.client(service, endpoint_url=self._url, config=config or cold)

    async def cold(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        """One boto3 call in a thread. `operation` is boto's method name. Raises AwsError."""

        def call() -> dict[str, Any]:
            with self._making:  # a client takes a tenth of a second to make, and is safe in threads
                client = self._kept.get(service)
                if client is None:
                    client = self._kept[service] = self.boto(service)
            return getattr(client, operation)(**arguments)

        return await self._in_thread(call)


def _translated(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ClientError as error:
        found = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        told = aws_error(found.get("Code", "Unknown"), found.get("Message", ""), status)
        if error.operation_name == "AssumeRole":  # it stands in the way of every other call
            told = type(told)(f"AssumeRole:{told.code}", found.get("Message", ""))
        raise told from None
    except (NoCredentialsError, PartialCredentialsError):
        raise AwsDenied("NoCredentials", "boto3 found no AWS credentials (it does not read .env)") from None
    except Exception as error:  # noqa: BLE001  whatever a proxy or an odd answer makes of boto: nobody else's trouble
        raise AwsUnavailable(type(error).__name__) from None


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the hot calls. `boto`: its name in boto3; `host`: what stands before the region in its host's name;
    `signing`: its name in signatures."""

    boto: str
    host: str
    signing: str
    wire: IWire


class AiohttpClient:
    """Requests over aiohttp."""

    def __init__(
        self, session: Session, service: Service, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._session = session
        self._service = service
        self._now = now
        self._url = session.endpoint(service.host)
        self._host = self._url.split("://", 1)[1]
        self._http: aiohttp.ClientSession | None = None

    def _connection(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=30),
                timeout=aiohttp.ClientTimeout(connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT, total=30),
                auto_decompress=True,
                cookie_jar=aiohttp.DummyCookieJar(),  # AWS sets none
            )
        return self._http

    async def call(self, operation: str, request: bytes) -> bytes:
        """POST one operation. Raises AwsError; a time-out or a broken connection is AwsUnavailable."""
        wire = self._service.wire
        path = wire.path(operation)
        signed = signed_headers(
            credentials=await self._session.credentials(), region=self._session.region, service=self._service.signing,
            host=self._host, path=path, headers=wire.headers(operation), body=request, now=self._now(),
        )  # fmt: skip
        try:
            async with self._connection().post(self._url + path, data=request, headers=signed) as response:
                answer = await response.read()
                if response.status == 200:
                    return answer
                raise _failure(wire.failure(answer), response.status, response.headers.get("x-amzn-errortype", ""))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AwsUnavailable(type(error).__name__) from None

    async def close(self) -> None:
        """Close connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None


def _failure(told: tuple[str, str], status: int, header: str) -> Exception:
    kind, message = told
    code = (kind or header or f"HTTP{status}").rsplit("#", 1)[-1].split(":", 1)[0]
    return aws_error(code, message, status)


class Boto3Client:
    """The same calls through boto3 in threads: slower by an order of magnitude, for networks that need its options."""

    def __init__(self, session: Session, service: Service) -> None:
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT)
        self._wire = service.wire
        self._client = session.boto(service.boto, config)
        self._methods = {
            self._client.meta.method_to_api_mapping[name]: name
            for name in dir(self._client)
            if name in self._client.meta.method_to_api_mapping
        }

    async def call(self, operation: str, request: bytes) -> bytes:
        """See IRequester."""
        arguments = self._wire.arguments(request)
        method = getattr(self._client, self._methods[operation])
        answer = await asyncio.to_thread(_translated, lambda: method(**arguments))
        answer.pop("ResponseMetadata", None)
        return self._wire.answer(answer)

    async def close(self) -> None:
        """Close connections."""
        self._client.close()


def hot_client(session: Session, service: str, target: str) -> IRequester:
    """The client the settings ask for. `service`: kinesis or events; `target`: prefix of X-Amz-Target."""
    return _client(session, Service(service, service, service, JsonWire(target)))


def custom_bus_client(session: Session, account: str) -> IRequester:
    """The same for Custom Event Buses of an account, by that account's endpoint, which boto3 reads from the ARN."""
    return _client(session, Service("eventbridgev2", f"{account}.eventsv2", "events", CborWire("AWSEventsV2")))


def global_endpoint_client(session: Session) -> IRequester:
    """EventBridge for requests with an EndpointId: through boto3, because they are signed for all regions at once
    (SigV4A). Raises ConfigurationError if awscrt, which signs them, is not installed."""
    if find_spec("awscrt") is None:
        raise ConfigurationError(
            "a global endpoint is configured, but awscrt is not installed",
            hint="pip install 'cdc-worker[global-endpoints]'",
        )
    return Boto3Client(session, Service("events", "events", "events", JsonWire("AWSEvents")))


def _client(session: Session, service: Service) -> IRequester:
    return Boto3Client(session, service) if session.settings.aws_client == "boto3" else AiohttpClient(session, service)
