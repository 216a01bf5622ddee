"""Tokens for OAUTHBEARER: from a file, from an OAuth 2 endpoint, or signed for Amazon MSK.

aiokafka asks for a token at every connection it makes, from the loops of several threads, and has no
re-authentication: the broker cuts a connection whose token has expired, and the next one takes a newer token. An
exception that is no KafkaError would end aiokafka's background tasks, so `token` raises nothing else.
"""

import asyncio
import base64
import importlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import aiohttp
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError, KafkaError, SaslAuthenticationFailed

from workers.failures import ConfigurationError

USE_UP_TO = 0.8
"""Share of a token's life after which a new one is fetched."""
UNSTATED_LIFE = 300.0
"""Seconds a token is used when its endpoint does not say how long it lives (RFC 6749 only recommends it)."""
PAUSE_AFTER_FAILURE = 1.0
"""Seconds without another try: dozens of clients that cannot connect ask ten times a second each."""
ENDPOINT_TIMEOUT = 10.0
REFUSED = (400, 401, 403)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and when it ends, in seconds since the epoch."""

    text: str = field(repr=False)
    expires: float


class FileToken(AbstractTokenProvider):
    """A token that something else renews, such as a projected service account token: read for every connection."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """The file's text. Raises KafkaConnectionError while there is none."""
        try:
            text = await asyncio.to_thread(self._path.read_text, encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise KafkaConnectionError(f"CDC_KAFKA_TOKEN_FILE cannot be read: {type(error).__name__}") from None
        if not text.strip():
            raise KafkaConnectionError("CDC_KAFKA_TOKEN_FILE is empty")
        return text.strip()


class CachedToken(AbstractTokenProvider):
    """One token for all connections of the process, fetched again after 80 % of its life.

    `fetch` blocks and runs in a thread of its own; whoever asks meanwhile waits for the same answer."""

    def __init__(self, fetch: Callable[[float], Token], clock: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._renew_at = 0.0
        self._running: Future[Token] | None = None
        self._failure: KafkaError | None = None
        self._retry_at = 0.0

    async def token(self) -> str:
        """A token with at least a fifth of its life left. Raises KafkaError if there is none to be had:
        SaslAuthenticationFailed if we were refused."""
        now = self._clock()
        with self._lock:
            if self._token is not None and now < self._renew_at:
                return self._token.text
            if self._failure is not None and now < self._retry_at:
                raise type(self._failure)(*self._failure.args)
            running = self._running
            if running is None:
                running = self._running = Future()
                running.set_running_or_notify_cancel()  # from here on nobody who waits can cancel it for the others
                threading.Thread(target=self._renew, args=(running, now), name="kafka-token", daemon=True).start()
        return (await asyncio.wrap_future(running)).text

    def _renew(self, result: "Future[Token]", now: float) -> None:
        try:
            token = self._fetch(now)
        except Exception as error:  # noqa: BLE001  its text may quote a request with the secret in it
            failure = error if isinstance(error, KafkaError) else KafkaConnectionError(type(error).__name__)
            with self._lock:
                self._running, self._failure, self._retry_at = None, failure, self._clock() + PAUSE_AFTER_FAILURE
            result.set_exception(failure)
        else:
            with self._lock:
                self._token, self._renew_at = token, now + USE_UP_TO * max(0.0, token.expires - now)
                self._running = self._failure = None
            result.set_result(token)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Fetches tokens with the client credentials grant of OAuth 2 (RFC 6749, 4.4)."""

    url: str
    client_id: str
    secret: str = field(repr=False)
    scope: str | None

    def __call__(self, now: float) -> Token:
        """Blocks. Raises SaslAuthenticationFailed if the endpoint refuses us, KafkaConnectionError else."""
        return asyncio.run(self._ask(now))

    async def _ask(self, now: float) -> Token:
        form = {"grant_type": "client_credentials"} | ({"scope": self.scope} if self.scope else {})
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret)}"  # form-encoded first: RFC 6749, 2.3.1
        identity = "Basic " + base64.b64encode(pair.encode()).decode()
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ENDPOINT_TIMEOUT), trust_env=True) as session,
                session.post(self.url, data=form, headers={"Authorization": identity}, allow_redirects=False) as answer,
            ):
                if answer.status in REFUSED:
                    raise SaslAuthenticationFailed(f"the token endpoint answered {answer.status}")
                if answer.status != 200:
                    raise KafkaConnectionError(f"the token endpoint answered {answer.status}")
                body = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise KafkaConnectionError(f"the token endpoint: {type(error).__name__}") from None
        return _token_of(body, now)


def _token_of(body: Any, now: float) -> Token:
    text = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(text, str) or not text:
        raise KafkaConnectionError("the token endpoint answered without an access_token")
    try:
        life = float(body.get("expires_in", UNSTATED_LIFE))
    except (TypeError, ValueError):
        life = UNSTATED_LIFE
    return Token(text, now + life)


def msk_signer(region: str) -> Callable[[float], Token]:
    """Fetches tokens for Amazon MSK, signed with the AWS credentials boto3 finds; they live 900 s.

    Raises ConfigurationError if the extra is not installed."""
    try:
        signer = importlib.import_module("aws_msk_iam_sasl_signer.MSKAuthTokenProvider")
    except ModuleNotFoundError:
        raise ConfigurationError(
            "CDC_KAFKA_SASL_MECHANISM=AWS_MSK_IAM needs the msk extra", hint="pip install 'cdc-worker[msk]'"
        ) from None

    def sign(_now: float) -> Token:
        try:
            text, expires_ms = signer.generate_auth_token(region)
        except Exception as error:  # noqa: BLE001  the signer and botocore have no common root
            raise SaslAuthenticationFailed(f"no AWS credentials to sign with: {type(error).__name__}") from None
        return Token(text, expires_ms / 1000)

    return sign
