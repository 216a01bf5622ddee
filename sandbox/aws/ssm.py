"""Parameters of AWS Systems Manager. moto answers, inside this process and imported when somebody first asks."""

import asyncio
import functools
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import msgspec

from sandbox.aws.errors import AwsError
from sandbox.aws.fields import Body
from sandbox.aws.place import Place
from sandbox.aws.protocol import Operations

OPERATIONS = (
    "PutParameter", "GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory",
    "DescribeParameters", "DeleteParameter", "DeleteParameters", "AddTagsToResource", "RemoveTagsFromResource",
    "ListTagsForResource", "LabelParameterVersion",
)  # fmt: skip

Dispatch = Callable[[str, bytes], tuple[int, bytes]]


class Ssm:
    """The parameter store of one account in one region."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._dispatch: Dispatch | None = None
        self._one_at_a_time = asyncio.Lock()  # moto is made for one thread

    def operations(self) -> Operations:
        """What is offered here: parameters, and nothing else of Systems Manager."""
        return {name: functools.partial(self._answer, name) for name in OPERATIONS}

    def reset(self) -> None:
        """Forget every parameter."""
        self._dispatch = None

    async def _answer(self, name: str, body: Body) -> bytes:
        async with self._one_at_a_time:
            status, answer = await asyncio.to_thread(self._ask, name, msgspec.json.encode(body))
        if status == 200:
            return answer
        told: dict[str, Any] = msgspec.json.decode(answer)
        code = str(told.get("__type", "InternalFailure")).rpartition("#")[2]
        raise AwsError(code, str(told.get("message") or told.get("Message") or ""), status)

    def _ask(self, name: str, body: bytes) -> tuple[int, bytes]:
        if self._dispatch is None:
            self._dispatch = _moto(self._place)
        return self._dispatch(name, body)


def _moto(place: Place) -> Dispatch:
    if find_spec("moto") is None:
        raise AwsError("InternalFailure", "SSM needs moto: pip install 'cdc-worker[sandbox]'", status=500)
    from moto.core.request import Request  # noqa: PLC0415  takes a second to import
    from moto.ssm.models import SimpleSystemManagerBackend  # noqa: PLC0415
    from moto.ssm.responses import SimpleSystemManagerResponse  # noqa: PLC0415

    backend = SimpleSystemManagerBackend(place.region, place.account)

    class Answers(SimpleSystemManagerResponse):
        ssm_backend = backend  # of this stand-in alone; moto's own is one for the process

    url = f"https://ssm.{place.region}.amazonaws.com/"

    def dispatch(name: str, body: bytes) -> tuple[int, bytes]:
        headers = {
            "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"AmazonSSM.{name}",
            "Host": url.split("/")[2], "x-moto-account-id": place.account,
        }  # fmt: skip
        status, _, answer = Answers.dispatch(Request.from_primitives("POST", url, headers, body), url, headers)
        return status, answer if isinstance(answer, bytes) else str(answer).encode()

    return dispatch
