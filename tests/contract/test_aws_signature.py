"""Our Signature Version 4 is botocore's, byte for byte."""

from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from workers.aws.signature import Credentials, signed_headers

NOW = datetime(2026, 1, 15, 10, 31, 7, tzinfo=UTC)


@pytest.mark.parametrize("token", [None, "session-token/with+signs=="])
@pytest.mark.parametrize(("service", "region"), [("kinesis", "us-east-1"), ("events", "eu-central-1")])
@pytest.mark.parametrize("body", [b"{}", '{"Detail":"schön"}'.encode(), b"x" * 100_000])
def test_a_signed_request_equals_botocores(
    monkeypatch: pytest.MonkeyPatch, service: str, region: str, token: str | None, body: bytes
) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW.replace(tzinfo=None), raising=False)
    host = f"{service}.{region}.amazonaws.com"
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "AWSEvents.PutEvents"}
    request = AWSRequest("POST", f"https://{host}/", headers=dict(headers), data=body)
    SigV4Auth(BotoCredentials("AKID", "secret", token), service, region).add_auth(request)
    moment = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = signed_headers(
        credentials=Credentials("AKID", "secret", token), region=region, service=service, host=host, path="/",
        headers=headers, body=body, now=moment,
    )  # fmt: skip
    assert ours["authorization"] == request.headers["Authorization"]


def test_credentials_never_show_their_keys() -> None:
    assert "hunter2" not in repr(Credentials("AKID", "hunter2", "hunter2"))
