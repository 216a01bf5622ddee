"""The one exception an operation raises, and the constructors of the errors the services share."""


class AwsError(Exception):
    """An answer other than 200.

    `code` goes on the wire as `__type`; `query_code` is the older name that SQS repeats in `x-amzn-query-error`.
    """

    def __init__(self, code: str, message: str, status: int = 400, query_code: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.query_code = query_code


def invalid_argument(message: str) -> AwsError:
    """Kinesis: a value is well formed and still impossible here."""
    return AwsError("InvalidArgumentException", message)


def validation(message: str) -> AwsError:
    """A value breaks a constraint of the service's published model."""
    return AwsError("ValidationException", message)


def constraint(field: str, rule: str) -> AwsError:
    """The usual text of a broken model constraint; `rule` reads on from "Member must …"."""
    name = field[:1].lower() + field[1:]
    return validation(
        f"1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must {rule}"
    )


def serialization(message: str) -> AwsError:
    """The body is not JSON, or a member has another JSON type than the model says."""
    return AwsError("SerializationException", message)


def not_found(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message)
