"""A role in place of the worker's own credentials, for streams of other accounts."""

from functools import partial
from typing import Any

import boto3
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError
from botocore.session import get_session

SESSION_NAME = "cdc-worker"
"""As CloudTrail shows it."""


def assumed(own: boto3.Session, role: str, external_id: str | None, endpoint: str | None) -> boto3.Session:
    """A session of the role (its ARN) in the region of `own`, assumed when it is first used and again before it ends,
    by botocore as for a profile with `role_arn`. `endpoint`: of STS, instead of AWS's own."""
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(own._session.create_client, region_name=own.region_name, endpoint_url=endpoint),
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
