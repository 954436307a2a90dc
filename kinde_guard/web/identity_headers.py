"""Who calls, in headers that a reverse proxy sets on its requests to an app: their names and their values.

An app believes them, so a caller's own must not get there under any spelling: where an app reads a header as a variable
(CGI, WSGI), ``X_Kinde_Subject`` and ``X-Kinde_Subject`` are the same as ``X-Kinde-Subject``.
"""

from __future__ import annotations

import itertools
from urllib.parse import quote

from ..adapters import AccessToken

SUBJECT, CLIENT_ID, ORG_CODE, ISSUER = "X-Kinde-Subject", "X-Kinde-Client-Id", "X-Kinde-Org-Code", "X-Kinde-Issuer"
SCOPES, PERMISSIONS = "X-Kinde-Scopes", "X-Kinde-Permissions"
NAMES = (SUBJECT, CLIENT_ID, ORG_CODE, ISSUER, SCOPES, PERMISSIONS)
_PLAIN = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}"  # the printable ASCII that is not encoded; no ``%`` and no space


def identity(token: AccessToken) -> dict[str, str]:
    """Who calls, for headers: *all* of them each time, empty where there is nothing to say, as a header that is left
    out is one that the caller may have written. Printable ASCII; all else, and ``%``, is percent-encoded (UTF-8)."""
    said = {
        SUBJECT: token.subject,
        CLIENT_ID: token.client_id or "",
        ORG_CODE: token.org_code or "",
        ISSUER: token.issuer,
    }
    lists = {SCOPES: token.scopes, PERMISSIONS: token.permissions}
    return {
        **{name: quote(value, safe=_PLAIN) for name, value in said.items()},
        **{name: " ".join(quote(value, safe=_PLAIN) for value in sorted(values)) for name, values in lists.items()},
    }


def other_spellings() -> list[str]:
    """Every name, beside :data:`NAMES`, that an app may take for one of them."""
    return [spelt for name in NAMES for spelt in _spellings(name) if spelt != name]


def _spellings(name: str) -> list[str]:
    words = name.split("-")
    marks = itertools.product("-_", repeat=len(words) - 1)
    return ["".join(itertools.chain(*zip(words, (*between, ""), strict=True))) for between in marks]
