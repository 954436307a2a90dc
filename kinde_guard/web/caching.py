"""What caches are told of an answer that only callers with a token get. Pure.

RFC 9111 §3.5 forbids shared caches to store answers to requests with an Authorization header, unless the answer allows
it. Caches that do not keep to that, and those in browsers, are told: ``Cache-Control: private``, for one caller, and
``Vary: Authorization``, for this token. Who sets a Cache-Control has decided, and nothing is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Headers = Iterable[tuple[Any, Any]]  # bytes under ASGI, text under WSGI


def _marking(name: Callable[[str], Any], text: Callable[[str], Any]) -> Callable[[Headers], Headers]:
    cache_control, vary = name("cache-control"), name("vary")
    lengths = len(cache_control), len(vary)
    marks = (name("Cache-Control"), text("private")), (name("Vary"), text("Authorization"))

    def private_to_caller(headers: Headers) -> Headers:
        for each, _ in headers:
            if len(each) in lengths:  # of few other headers
                return with_others(headers)
        return [*headers, *marks]

    def with_others(headers: Headers) -> Headers:
        names = [each.lower() for each, _ in headers]
        if cache_control in names:
            return headers
        varies = [value for each, value in headers if each.lower() == vary]
        others = [header for header in headers if header[0].lower() != vary]
        if text("*") not in varies:
            varies.append(text("Authorization"))
        return [*others, marks[0], (marks[1][0], text(", ").join(varies))]

    return private_to_caller


for_wsgi = _marking(str, str)
for_asgi = _marking(lambda text: text.lower().encode(), str.encode)  # where names are in lower case
