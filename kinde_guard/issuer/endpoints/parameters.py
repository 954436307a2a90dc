"""The parameters of a request, read strictly."""

from __future__ import annotations

from urllib.parse import parse_qs

from ..errors import OAuthError
from ..messages import Request

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 100


class Parameters:
    """The parameters of a request, sent in a query or a form. One without a value counts as left out (RFC 6749 §3.1,
    §3.2)."""

    def __init__(self, text: str | bytes) -> None:
        try:
            decoded = text.decode("utf-8") if isinstance(text, bytes) else text
            self._values = parse_qs(decoded, errors="strict", max_num_fields=MAX_FIELDS)
        except ValueError:  # UnicodeDecodeError is one
            raise OAuthError("invalid_request", "The parameters are not a readable form.") from None

    @classmethod
    def of_body(cls, request: Request) -> Parameters:
        """The parameters in the form that was posted."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            raise OAuthError("invalid_request", f"The content type must be {FORM}.")
        return cls(request.body)

    def one(self, name: str) -> str | None:
        """The value of *name*; more than one is refused (RFC 6749 §3.1 and §3.2)."""
        values = self._values.get(name, [])
        if len(values) > 1:
            raise OAuthError("invalid_request", f"The parameter {name} is there more than once.")
        return values[0] if values else None

    def only(self, name: str) -> str | None:
        """The value of *name*, if there is exactly one."""
        values = self._values.get(name, [])
        return values[0] if len(values) == 1 else None

    def needed(self, name: str) -> str:
        """The value of *name*, which must be there."""
        value = self.one(name)
        if value is None:
            raise OAuthError("invalid_request", f"The parameter {name} is missing.")
        return value

    def words(self, name: str) -> list[str]:
        """The words of *name*, which may be repeated or separated by white space, as Kinde's SDKs do it."""
        return list(dict.fromkeys(word for value in self._values.get(name, []) for word in value.split()))
