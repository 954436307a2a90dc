"""The parameters of a request, read strictly, and the way to refuse one in RFC 6749's words."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from .messages import Request, Response, error_response

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 100
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}  # RFC 6749 §5.1


class Refused(Exception):
    """No: an error code for why, and words on what to do. The words never repeat what was sent."""

    def __init__(self, error: str, description: str, *, status: int = 400, headers: Mapping[str, str] | None = None):
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status
        self.response: Response = error_response(status, error, description, {**NO_STORE, **(headers or {})})


class Form:
    """The parameters of a request. One without a value counts as left out (RFC 6749 §3.1 and §3.2)."""

    def __init__(self, text: str | bytes) -> None:
        try:
            decoded = text.decode("utf-8") if isinstance(text, bytes) else text
            self._values = parse_qs(decoded, errors="strict", max_num_fields=MAX_FIELDS)
        except ValueError:  # UnicodeDecodeError is one
            raise Refused("invalid_request", "The parameters are not a readable form.") from None

    @classmethod
    def of_body(cls, request: Request) -> Form:
        """What was posted."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            raise Refused("invalid_request", f"The content type must be {FORM}.")
        return cls(request.body)

    def one(self, name: str) -> str | None:
        """The value of *name*; more than one is refused (RFC 6749 §3.1 and §3.2)."""
        values = self._values.get(name, [])
        if len(values) > 1:
            raise Refused("invalid_request", f"The parameter {name} is there more than once.")
        return values[0] if values else None

    def only(self, name: str) -> str | None:
        """The value of *name*, if there is exactly one."""
        values = self._values.get(name, [])
        return values[0] if len(values) == 1 else None

    def needed(self, name: str) -> str:
        """The value of *name*, which must be there."""
        value = self.one(name)
        if value is None:
            raise Refused("invalid_request", f"The parameter {name} is missing.")
        return value

    def words(self, name: str) -> list[str]:
        """The words of *name*, which may be repeated or separated by white space, as Kinde's SDKs do it."""
        return list(dict.fromkeys(word for value in self._values.get(name, []) for word in value.split()))
