"""Lists page by page, as EventBridge has them: `Limit` from 1 to 100, and a `NextToken` for what is left."""

from collections.abc import Sequence
from typing import Any

from sandbox.aws.errors import validation
from sandbox.aws.fields import Body, optional_text, whole
from sandbox.aws.tokens import Tokens

MOST = 100


class Pages:
    """Makes pages; tokens of one list do not open another."""

    def __init__(self) -> None:
        self._tokens = Tokens()

    def of(self, member: str, items: Sequence[Any], body: Body) -> dict[str, Any]:
        """The answer `{member: items, NextToken?}` to a request. Raises ValidationException for a made-up token."""
        token = optional_text(body, "NextToken", longest=2048)
        state = self._tokens.open(member, token) if token is not None else [0]
        if state is None:
            raise validation("NextToken is not valid.")
        start = int(state[0])
        end = start + whole(body, "Limit", 1, MOST, MOST)
        answer: dict[str, Any] = {member: list(items[start:end])}
        if end < len(items):
            answer["NextToken"] = self._tokens.seal(member, end)
        return answer
