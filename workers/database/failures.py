"""How a question to the database can fail, sorted by who can do something about it. No text holds a value (P6)."""


class DatabaseError(Exception):
    """A question was not answered. `code` is a word for logs and metrics: an SQLSTATE, or the class of an error."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class DatabaseAway(DatabaseError):
    """It does not answer, or not in time: it will again."""


class DatabaseDenied(DatabaseError):
    """It does not let us in: credentials may have changed, or an operator has to act."""


class QueryRefused(DatabaseError):
    """It answers, but not this query: an operator has to act."""
