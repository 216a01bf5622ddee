"""S3 as far as objects and the encryption of buckets go, addressed by path; see moto_service."""

from urllib.parse import parse_qsl, urlsplit

from sandbox.aws.errors import AwsError
from sandbox.aws.moto_service import Answered, Call, Dispatch, MotoService, as_bytes, refused, text_headers
from sandbox.aws.place import Place

HOST = "127.0.0.1"
OF_BUCKETS = {
    ("PUT", ""): "CreateBucket", ("HEAD", ""): "HeadBucket", ("DELETE", ""): "DeleteBucket",
    ("GET", ""): "ListObjects", ("GET", "list-type"): "ListObjectsV2", ("POST", "delete"): "DeleteObjects",
    ("PUT", "encryption"): "PutBucketEncryption", ("GET", "encryption"): "GetBucketEncryption",
    ("DELETE", "encryption"): "DeleteBucketEncryption",
}  # fmt: skip
OF_OBJECTS = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
LISTING = "ListBuckets"
SUBRESOURCES = frozenset({
    "accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption", "intelligent-tiering", "inventory",
    "legal-hold", "lifecycle", "list-type", "location", "logging", "metrics", "notification", "object-lock",
    "ownershipControls", "partNumber", "policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment",
    "restore", "retention", "select", "tagging", "torrent", "uploadId", "uploads", "versioning", "versions", "website",
})  # fmt: skip


def operation(method: str, path: str) -> str | None:
    """The operation of a request; None if it is not offered here."""
    parts = urlsplit(path)
    asked = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)} & SUBRESOURCES
    bucket, _, key = parts.path.lstrip("/").partition("/")
    if not bucket:
        return LISTING if method == "GET" else None
    if key:
        return None if asked else OF_OBJECTS.get(method)
    return OF_BUCKETS.get((method, next(iter(asked), ""))) if len(asked) < 2 else None


def s3(place: Place) -> MotoService:
    """The buckets of one account."""
    return MotoService("s3", (LISTING, *OF_BUCKETS.values(), *OF_OBJECTS.values()), lambda: _moto(place))


def refusal(error: AwsError) -> str:
    """The XML of an error."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{refused(error)}'


def as_s3(error: AwsError) -> AwsError:
    """An error with the code and status that S3 has for it."""
    match error.code:
        case "AccessDeniedException":
            return AwsError("AccessDenied", error.message, 403)
        case "SlowDown":
            return AwsError(error.code, error.message, 503)
        case _:
            return error


def _moto(place: Place) -> Dispatch:
    from moto.core.request import Request  # noqa: PLC0415  takes a second to import
    from moto.s3.models import FakeBucket, S3Backend, s3_backends  # noqa: PLC0415
    from moto.s3.responses import S3Response  # noqa: PLC0415

    class Buckets(S3Backend):
        def create_bucket(self, bucket_name: str, region_name: str, bucket_namespace: str | None = None) -> FakeBucket:
            if bucket_name not in self.buckets:
                # Names are taken in the whole process: those of another stand-in, or of before a reset, are free here.
                s3_backends.bucket_accounts.pop(bucket_name, None)
            return super().create_bucket(bucket_name, region_name, bucket_namespace)

    own = Buckets(place.region, place.account)

    class Answers(S3Response):
        backend = own  # of this stand-in alone; moto's own is one for the process

    def dispatch(call: Call) -> Answered:
        url = f"http://{HOST}{call.path}"
        headers = {**call.headers, "Host": HOST, "x-moto-account-id": place.account}
        request = Request.from_primitives(call.method, url, headers, call.body)
        of_object = bool(urlsplit(call.path).path.lstrip("/").partition("/")[2])
        answers = Answers()
        answer = (answers.key_response if of_object else answers.bucket_response)(request, url, headers)
        status, told, body = answer
        return status, text_headers(told), as_bytes(body)

    return dispatch
