"""A role in place of the worker's own credentials, for streams of other accounts."""

import logging
from functools import partial
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError
from botocore.session import get_session

# It logs every failed try with a traceback, and half an answer of STS with what is in it (P6).
logging.getLogger("botocore.credentials").setLevel(logging.CRITICAL)

SESSION_NAME = "cdc-worker"
"""As CloudTrail shows it."""


def assumed(
    own: boto3.Session, role: str, external_id: str | None, endpoint: str | None, config: Config
) -> boto3.Session:
    """A session of the role (its ARN) in the region of `own`, assumed when it is first used and again before it ends,
    by botocore as for a profile with `role_arn`. `endpoint`: of STS, instead of AWS's own; `config`: of its client."""
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(
            own._session.create_client, region_name=own.region_name, endpoint_url=endpoint, config=config
        ),
        source_credentials=_Own(own), role_arn=role,
        extra_args={"RoleSessionName": SESSION_NAME} | ({"ExternalId": external_id} if external_id else {}),
    )  # fmt: skip
    session = get_session()
    session._credentials = DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)
    return boto3.Session(botocore_session=session, region_name=own.region_name)


class _Own:
    """The worker's own credentials, looked for when the role is assumed: that may ask the network."""

    def __init__(self, session: boto3.Session) -> None:
        self._session = session

    def get_frozen_credentials(self) -> Any:
        """As of botocore's Credentials."""
        found = self._session.get_credentials()
        if found is None:
            raise NoCredentialsError
        return found.get_frozen_credentials()
