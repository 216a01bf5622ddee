"""What a service gives the server: a table of operations by their names in `X-Amz-Target`."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sandbox.aws.fields import Body

# An answer is a structure, JSON text that is ready to send, or nothing.
Answer = dict[str, Any] | bytes | None
Operation = Callable[[Body], Awaitable[Answer]]
Operations = Mapping[str, Operation]
