"""What S3, SNS, CloudWatch and RDS have in common here: moto answers, inside this process and imported when somebody
first asks."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from xml.sax.saxutils import escape

from sandbox.aws.errors import AwsError

SCOPE = re.compile(r"Credential=[^/]+/[0-9]+/[^/]+/([a-z0-9-]+)/aws4_request")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request. `path` with its query, percent-encoded as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Answered = tuple[int, Mapping[str, str], bytes]
"""Status, headers, body."""
Dispatch = Callable[[Call], Answered]


class MotoService:
    """One service that speaks XML. `make` imports moto and makes an empty one."""

    def __init__(self, name: str, operations: tuple[str, ...], make: Callable[[], Dispatch]) -> None:
        self.name = name
        self.operations = operations
        self._make = make
        self._dispatch: Dispatch | None = None
        self._one_at_a_time = asyncio.Lock()  # moto is made for one thread

    def reset(self) -> None:
        """Forget everything."""
        self._dispatch = None

    async def answer(self, call: Call) -> Answered:
        """What moto says. Raises AwsError if it is not installed."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._ask, call)

    def _ask(self, call: Call) -> Answered:
        if self._dispatch is None:
            if find_spec("moto") is None:
                raise AwsError("InternalFailure", f"{self.name} needs moto: pip install 'cdc-worker[sandbox]'", 500)
            self._dispatch = self._make()
        return self._dispatch(call)


def posting(responses: Any, host: str, account: str) -> Dispatch:
    """Of a service to which everything is a POST to one address. `responses`: moto's class, with a backend of ours."""
    from moto.core.request import Request  # noqa: PLC0415  takes a second to import

    url = f"https://{host}/"

    def dispatch(call: Call) -> Answered:
        headers = {**call.headers, "Host": host, "x-moto-account-id": account}
        status, told, body = responses.dispatch(Request.from_primitives("POST", url, headers, call.body), url, headers)
        return status, text_headers(told), as_bytes(body)

    return dispatch


def signed_for(headers: Mapping[str, str]) -> str:
    """The service that a request was signed for, by its Authorization header; empty if it has none."""
    found = SCOPE.search(headers.get("Authorization", ""))
    return found[1] if found is not None else ""


def text_headers(headers: Mapping[str, Any]) -> dict[str, str]:
    """Headers of moto's answer; the server counts bytes itself."""
    return {name: str(value) for name, value in headers.items() if name.lower() != "content-length"}


def as_bytes(body: Any) -> bytes:
    """Body of moto's answer."""
    return body if isinstance(body, bytes) else str(body).encode()


def refused(error: AwsError) -> str:
    """The XML of an error, as S3 has it; that of SNS stands in an `ErrorResponse`."""
    return f"<Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message></Error>"
