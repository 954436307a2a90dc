"""What a form sent, read strictly. Whatever is wrong is a ``ConfigurationError`` in words for who filled it in."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from ..errors import ConfigurationError

MAX_FORM = 128 * 1024
MOST_FIELDS = 500
MEDIA_TYPE = "application/x-www-form-urlencoded"


class FieldError(ConfigurationError):
    """What is wrong with one *field* of a form; where a form has several of that name, *row* counts them from 0."""

    def __init__(self, problem: str, field: str, row: int = 0) -> None:
        super().__init__(problem)
        self.field, self.row = field, row


@contextmanager
def at_field(name: str, row: int = 0) -> Iterator[None]:
    """Whatever is wrong within is wrong with the field *name*."""
    try:
        yield
    except FieldError:
        raise
    except ConfigurationError as error:
        raise FieldError(str(error), name, row) from None


class SentForm:
    """Fields by name, in the order they were sent. One that is not there counts as empty."""

    def __init__(self, fields: dict[str, list[str]] | None = None) -> None:
        self._fields = fields or {}

    @classmethod
    def read(cls, body: bytes) -> SentForm:
        """The form in a *body* of :data:`MEDIA_TYPE`."""
        try:
            text = body.decode("ascii")
            fields = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
        except ValueError:  # UnicodeDecodeError is one
            raise ConfigurationError("the form cannot be read") from None
        return cls(fields)

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def having(self, **fields: str) -> SentForm:
        """The same with other values in *fields*."""
        return SentForm({**self._fields, **{name: [value] for name, value in fields.items()}})

    def text(self, name: str) -> str:
        """The value of *name*, without white space around it."""
        return self.all(name)[0].strip() if name in self._fields else ""

    def all(self, name: str) -> list[str]:
        """Every value of *name*."""
        return self._fields.get(name, [])

    def words(self, name: str) -> list[str]:
        """The words of *name*, which white space or commas separate."""
        return self.text(name).replace(",", " ").split()

    def number(self, name: str) -> float | None:
        """The number in *name*, a whole one if it is written so; ``None`` if nothing is."""
        text = self.text(name)
        if not text:
            return None
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
            raise FieldError(f"{name} must be a number, not {text!r}", name)
        return value

    def members(self, name: str) -> dict[str, Any]:
        """The JSON object in *name*; empty if nothing is there."""
        text, words = self.text(name), name.replace("_", " ")
        try:
            value = json.loads(text) if text else {}
        except (ValueError, RecursionError) as error:
            problem = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
            raise FieldError(f"{words}: this is not JSON{problem}", name) from None
        if not isinstance(value, dict):
            raise FieldError(f'{words}: this must be a JSON object, such as {{"tier": "gold"}}', name)
        return value
