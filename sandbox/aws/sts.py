"""STS as far as a reader of other accounts' streams needs it: AssumeRole and GetCallerIdentity, in the query protocol.

Every role may be assumed, whatever the external id; who asked for which is in the ledger.
"""

import re
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from sandbox.aws.errors import AwsError, validation
from sandbox.aws.place import Clock, Place

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
QUERY_CODES = {"AccessDeniedException": "AccessDenied", "ExpiredTokenException": "ExpiredToken"}
ROLE = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):role/(.+)")
CREDENTIAL = re.compile(r"Credential=([A-Za-z0-9]+)/")
DURATIONS = (900, 43_200)
"""Seconds AssumeRole takes."""


@dataclass(slots=True)
class AssumedRole:
    """What the ledger tells of one role."""

    sessions: int = 0
    external_ids: set[str] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    """Calls of any service that were signed with its keys."""


class Sts:
    """Roles that were assumed, by their ARNs."""

    def __init__(self, place: Place, clock: Clock) -> None:
        self._place = place
        self._clock = clock
        self.roles: dict[str, AssumedRole] = {}
        self._keys: dict[str, tuple[str, str]] = {}
        self.operations = {"AssumeRole": self._assume_role, "GetCallerIdentity": self._caller}

    def reset(self) -> None:
        """Forget every session."""
        self.roles.clear()
        self._keys.clear()

    def note(self, authorization: str, call: str) -> None:
        """A call of another service, by its Authorization header."""
        known = self._keys.get(_access_key(authorization))
        if known is not None:
            self.roles[known[0]].calls[call] += 1

    def ledger(self) -> dict[str, Any]:
        """Of every role: sessions, external ids, calls."""
        return {
            arn: {"sessions": role.sessions, "externalIds": sorted(role.external_ids), "calls": dict(role.calls)}
            for arn, role in sorted(self.roles.items())
        }

    def answer(self, form: Mapping[str, str], authorization: str) -> str:
        """The XML of one operation. Raises AwsError."""
        action = form.get("Action", "")
        operation = self.operations.get(action)
        if operation is None:
            raise AwsError("InvalidAction", f"Could not find operation {action}")
        return (
            f'<{action}Response xmlns="{NAMESPACE}"><{action}Result>{operation(form, authorization)}</{action}Result>'
            f"<ResponseMetadata><RequestId>{secrets.token_hex(16)}</RequestId></ResponseMetadata></{action}Response>"
        )

    def _assume_role(self, form: Mapping[str, str], authorization: str) -> str:
        arn, session = form.get("RoleArn", ""), form.get("RoleSessionName", "")
        found = ROLE.fullmatch(arn)
        if found is None or not re.fullmatch(r"[\w+=,.@-]{2,64}", session):
            raise validation("RoleArn or RoleSessionName is not one")
        seconds = int(form.get("DurationSeconds", "3600"))
        if not DURATIONS[0] <= seconds <= DURATIONS[1]:
            raise validation(f"DurationSeconds must be from {DURATIONS[0]} to {DURATIONS[1]}")
        role = self.roles.setdefault(arn, AssumedRole())
        role.sessions += 1
        if "ExternalId" in form:
            role.external_ids.add(form["ExternalId"])
        key = f"ASIA{secrets.token_hex(8).upper()}"
        self._keys[key] = arn, session
        ends = datetime.fromtimestamp(self._clock() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        identity = self._identity(found[1], found[2], session)
        return (
            f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secrets.token_urlsafe(30)}"
            f"</SecretAccessKey><SessionToken>{secrets.token_urlsafe(60)}</SessionToken>"
            f"<Expiration>{ends}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROA{key[4:]}:"
            f"{escape(session)}</AssumedRoleId><Arn>{escape(identity)}</Arn></AssumedRoleUser>"
        )

    def _caller(self, form: Mapping[str, str], authorization: str) -> str:
        key = _access_key(authorization)
        known = self._keys.get(key)
        account, arn = self._place.account, f"arn:aws:iam::{self._place.account}:root"
        if known is not None:
            found = ROLE.fullmatch(known[0])
            if found is not None:
                account, arn = found[1], self._identity(found[1], found[2], known[1])
        return f"<Arn>{escape(arn)}</Arn><UserId>{escape(key)}</UserId><Account>{account}</Account>"

    def _identity(self, account: str, role: str, session: str) -> str:
        return f"arn:aws:sts::{account}:assumed-role/{role.rpartition('/')[2]}/{session}"


def denied_by_sts(error: AwsError) -> AwsError:
    """The query protocol has other names for it."""
    if error.code in QUERY_CODES:
        return AwsError(QUERY_CODES[error.code], error.message, 403)
    return error


def refusal(error: AwsError) -> str:
    """The XML of an error."""
    kind = "Sender" if error.status < 500 else "Receiver"
    return (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>{kind}</Type><Code>{escape(error.code)}</Code>'
        f"<Message>{escape(error.message)}</Message></Error>"
        f"<RequestId>{secrets.token_hex(16)}</RequestId></ErrorResponse>"
    )


def _access_key(authorization: str) -> str:
    found = CREDENTIAL.search(authorization)
    return found[1] if found is not None else ""
