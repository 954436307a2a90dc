"""Getting at a token that lies in a file or comes through a pipe."""

from __future__ import annotations

import json
import os
import re

from ..errors import ConfigurationError
from ..web.bearer import token_from
from .messages import write_message

MOST = 1_000_000  # far more than a token may have; enough to end the reading of an endless file
_NAME = re.compile(r"authorization\s*:\s*", re.I)
_HEADER = re.compile(r"[\"']?(?:bearer|token|jwt|basic|dpop)(?:[\s:=]|%20|$)", re.I)


def read_token(file: str) -> str:
    """The token in *file* (``-``: stdin): alone, as an Authorization header, or as the answer of a token endpoint.

    Raises :class:`MissingToken` or :class:`InvalidRequest` for a header without one, as the guard would.
    """
    text = read_bytes(file).decode("utf-8", "replace").strip()
    if not text:
        raise ConfigurationError(f"there is no token in {_named(file)}")
    if text.startswith("{"):
        return _answered(text, file)
    name = _NAME.match(text)
    value = text[name.end() :] if name else text
    if name is None and _HEADER.match(text) is None:
        return text
    return token_from([" ".join(value.split())])  # broken lines come from pasting, and no header has them


def read_bytes(file: str) -> bytes:
    """What is in *file* (``-``: stdin), as far as it can matter."""
    if file == "-" and os.isatty(0):
        write_message("Paste the token, then press Enter and Ctrl-D:")
    try:
        with open(0 if file == "-" else file, "rb", closefd=file != "-") as stream:
            return stream.read(MOST)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a file name"
        raise ConfigurationError(f"cannot read {_named(file)}: {why}") from None


def _answered(text: str, file: str) -> str:
    """RFC 6749 §5.1."""
    try:
        token = json.loads(text).get("access_token")
    except (ValueError, RecursionError):
        token = None
    if not isinstance(token, str):
        raise ConfigurationError(f"the JSON in {_named(file)} has no access_token")
    return token


def _named(file: str) -> str:
    """Short, as it may be something else than a file's name, pasted by mistake."""
    return "stdin" if file == "-" else repr(file[:40])
