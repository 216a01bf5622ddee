"""Who asks: a local user, a token, a session, a client certificate, another worker, or nobody we know."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from workers.cluster.signature import SIGNATURE, Accepted, Reception, Refusal
from workers.settings.web import is_loopback
from workers.settings.worker import Settings
from workers.web.routes import Scope
from workers.web.sessions import Failures, Sessions
from workers.web.tokens import Token, Tokens

audit = logging.getLogger("cdc.audit")

READS = frozenset({Scope.READ})
WRITES = frozenset({Scope.READ, Scope.WRITE})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what that may be answered."""

    name: str
    by: str
    """How we know: loopback, token, session, certificate, signature, nothing."""
    scopes: frozenset[Scope] = frozenset()
    call: Accepted | None = None
    """Of another worker: what signs its answer."""


NOBODY = Caller("-", "nothing")


class Denied(Exception):
    """A request that is not answered: status, and why, in words without anything the client sent."""

    def __init__(
        self,
        status: int,
        why: str,
        *,
        hint: str = "",
        retry_after: int = 0,
        refusal: Refusal | None = None,
        caller: Caller = NOBODY,
    ) -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.hint = hint
        self.retry_after = retry_after
        self.refusal = refusal
        self.caller = caller


class Callers:
    """Recognizes callers by what the settings let in. `now` gives monotonic seconds."""

    def __init__(
        self, settings: Settings, tokens: Tokens, reception: Reception, now: Callable[[], float], port: int
    ) -> None:
        self.tokens = tokens
        self.sessions = Sessions(now)
        self.failures = Failures(now)
        self._reception = reception
        self._certificates = _scopes_of(settings.web_clients)
        self.open = is_loopback(settings.web_bind) and not tokens and settings.web_client_ca_file is None
        """Local users need no token."""
        default = not self.open or settings.environment == "LOCAL"
        self.may_write = default if settings.web_write is None else settings.web_write
        self.tls = settings.web_certificate_file is not None
        # Browsers send a cookie to every port of a host: workers of one machine must not overwrite each other's.
        self.cookie = f"{'__Host-' if self.tls else ''}cdc_session_{port}"

    def recognize(self, request: web.Request) -> Caller:
        """Raises Denied if it shows something that is wrong; somebody who shows nothing is nobody, or a local user."""
        headers = request.headers
        if SIGNATURE in headers:
            return self._worker(request)
        scheme, _, told = headers.get("Authorization", "").partition(" ")
        if scheme:
            return self._bearer(request, told.strip() if scheme.lower() == "bearer" else "")
        if session := request.cookies.get(self.cookie):
            token = self.sessions.find(session)
            if token is not None:
                return self._of_token(token, "session")
        if certified := self._certificate(request):
            return certified
        if self.open:
            return Caller("local", "loopback", self._allowed(writes=True))
        return NOBODY

    def sign_in(self, request: web.Request, told: str) -> str:
        """The name of a new session. Raises Denied."""
        token = self._token(request, told)
        audit.info("signed in: who=%s from=%s", json.dumps(token.name), address_of(request))
        return self.sessions.begin(token)

    def _bearer(self, request: web.Request, told: str) -> Caller:
        return self._of_token(self._token(request, told), "token")

    def _token(self, request: web.Request, told: str) -> Token:
        address = address_of(request)
        if wait := self.failures.seconds_to_wait(address):
            raise Denied(429, "too many wrong tokens from this address", retry_after=wait)
        token = self.tokens.find(told)
        if token is None:
            self.failures.add(address)
            audit.warning("a wrong token from %s", address)
            raise Denied(401, "this token is not known here", hint="it must stand in the file of CDC_WEB_TOKEN_FILE")
        return token

    def _worker(self, request: web.Request) -> Caller:
        address = address_of(request)
        if request.method != "GET":
            raise Denied(405, "workers only ask each other, by GET")
        judged = self._reception.judge(request.raw_path, request.headers)
        if isinstance(judged, Refusal):
            # Only wrong ones wait: behind one address, such as a proxy's, stand workers and whoever guesses.
            if wait := self.failures.seconds_to_wait(address):
                raise Denied(429, "too many wrong signatures from this address", retry_after=wait)
            if judged is Refusal.KEY:
                self.failures.add(address)
                audit.warning("a wrong signature from %s", address)
            raise Denied(401, "this call is not signed as it should be", refusal=judged)
        return Caller("worker", "signature", frozenset({Scope.WORKER}), judged)

    def _certificate(self, request: web.Request) -> Caller | None:
        transport = request.transport
        certificate: dict[str, Any] | None = transport.get_extra_info("peercert") if transport is not None else None
        name = common_name(certificate or {})
        writes = self._certificates.get(name) if name else None
        return Caller(name, "certificate", self._allowed(writes=writes)) if writes is not None else None

    def _of_token(self, token: Token, by: str) -> Caller:
        return Caller(token.name, by, self._allowed(writes=token.writes))

    def _allowed(self, *, writes: bool) -> frozenset[Scope]:
        return WRITES if writes and self.may_write else READS


def told_access(settings: Settings) -> str:
    """Who is let in, for the people who start the worker."""
    ways = [
        *(["tokens"] if settings.web_token_file else []),
        *(["client certificates"] if settings.web_client_ca_file else []),
    ]
    if ways:
        bare = not settings.web_certificate_file and not is_loopback(settings.web_bind)
        warning = "; without TLS (CDC_WEB_CERTIFICATE_FILE) tokens can be read on their way" if bare else ""
        return f"behind {' and '.join(ways)}{warning}"
    writes = settings.environment == "LOCAL" if settings.web_write is None else settings.web_write
    return f"open to users of this machine, who may look{' and change' if writes else ', not change'}"


def address_of(request: web.Request) -> str:
    """The other end of the connection; headers that claim another one are not believed."""
    return request.remote or "-"


def common_name(certificate: Mapping[str, Any]) -> str:
    """Of the subject of a verified certificate, as `ssl` tells it."""
    return next(
        (str(value) for part in certificate.get("subject", ()) for name, value in part if name == "commonName"), ""
    )


def _scopes_of(clients: str | None) -> dict[str, bool]:
    """{common name: may write}."""
    pairs = (pair.partition("=") for pair in (clients or "").split(",") if pair)
    return {name.strip(): scope == "write" for name, _, scope in pairs}
