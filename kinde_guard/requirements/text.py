"""Requirements that are written as text, on command lines and in configuration files."""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping

from ..errors import ConfigurationError
from .values import Requirement, authenticated, flag, machine, org, permission, role, scope, user

LONGEST_TEXT = 4_096
DEEPEST_TEXT = 32
SPELLED_WITH_A_NAME: Mapping[str, Callable[[str], Requirement]] = {
    "scope": scope,
    "permission": permission,
    "role": role,
    "org": org,
    "flag": flag,
}
SPELLED_ALONE: Mapping[str, Requirement] = {"machine": machine, "user": user, "authenticated": authenticated}
SPELLINGS = (
    "scope:NAME, permission:KEY, role:KEY, org:CODE, flag:KEY, flag:KEY=VALUE, machine, user or authenticated; with & "
    "for and, | for or, and parentheses"
)
"""What :func:`parse` reads, in a sentence."""


def parse(text: str) -> Requirement:
    """The requirement that *text* spells: ``parse("(scope:read:users & permission:view) | role:admin")``.

    It is for command lines and configuration files. It reads ``scope:NAME``, ``permission:KEY``, ``role:KEY``,
    ``org:CODE``, ``flag:KEY`` (which is ``true``), ``flag:KEY=VALUE``, ``machine``, ``user`` and ``authenticated``.
    ``&`` is *and*, ``|`` is *or*; if both stand beside each other, parentheses have to say which comes first. If a name
    or a value has a space or one of ``&|()="`` in it, write it in quotes, as in JSON: ``permission:"view reports"``. A
    value is ``true``, ``false``, a number, or else text; ``"true"`` in quotes is text. The text has 4,096 characters at
    most, and 32 parentheses inside one another.

    Raises :class:`~kinde_guard.ConfigurationError`, which says what it cannot read. Never give it what a caller has
    sent.
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"a requirement is written as text, such as 'scope:read:users', not {text!r}")
    if len(text) > LONGEST_TEXT:
        raise ConfigurationError(f"a requirement has at most {LONGEST_TEXT:,} characters, and this has {len(text):,}")
    reader = _Reader(_lexemes(text))
    requirement = reader.expression(0)
    if reader.ahead:
        raise ConfigurationError("a ) has no ( before it")
    return requirement


class _Reader:
    """The lexemes of a text and how far they have been read; the empty one is the end."""

    def __init__(self, lexemes: Iterator[str]) -> None:
        self._lexemes = lexemes
        self.ahead = next(lexemes, "")

    def expression(self, depth: int) -> Requirement:
        """Terms that are all joined by ``&``, or all by ``|``."""
        found, joint = [self._term(depth)], self.ahead
        while self.ahead in _JOINTS:
            if self.ahead != joint:
                raise ConfigurationError("& and | stand beside each other: say with parentheses which comes first")
            self._take()
            found.append(self._term(depth))
        if self.ahead not in ("", ")"):
            raise ConfigurationError(f"there is no & and no | before {self.ahead!r}; a name with a space needs quotes")
        return functools.reduce(_JOINTS.get(joint, operator.and_), found)

    def _term(self, depth: int) -> Requirement:
        lexeme = self._take()
        if lexeme != "(":
            return _spelled(lexeme)
        if depth == DEEPEST_TEXT:
            raise ConfigurationError(f"more than {DEEPEST_TEXT} parentheses stand inside one another")
        inner = self.expression(depth + 1)
        if self._take() != ")":
            raise ConfigurationError("a ( has no ) after it")
        return inner

    def _take(self) -> str:
        taken, self.ahead = self.ahead, next(self._lexemes, "")
        return taken


_JOINTS: Mapping[str, Callable[[Requirement, Requirement], Requirement]] = {"&": operator.and_, "|": operator.or_}
_QUOTED = r'"(?:[^"\\]|\\.)*"'
# Not compiled here: few read text, and everybody imports this.
_LEXEME = rf'\s*([&|()]|(?:[^\s&|()"]|{_QUOTED})+|\Z)'
_FLAG = rf'({_QUOTED}|[^="]+)(?:=(.*))?'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"


def _lexemes(text: str) -> Iterator[str]:
    """Operators, parentheses, and what stands between them."""
    at, lexeme = 0, re.compile(_LEXEME)
    while at < len(text):
        found = lexeme.match(text, at)
        if found is None:
            raise ConfigurationError(f"a quotation mark has none that ends it: {text[at:]!r}")
        yield found[1]
        at = found.end()


def _spelled(lexeme: str) -> Requirement:
    """What one lexeme demands; the name of a scope may itself hold colons."""
    if lexeme in SPELLED_ALONE:
        return SPELLED_ALONE[lexeme]
    word, _, name = lexeme.partition(":")
    if lexeme in ("", ")", *_JOINTS):
        raise ConfigurationError(f"something is missing before {lexeme or 'the end'}: write {SPELLINGS}")
    if word not in SPELLED_WITH_A_NAME:
        raise ConfigurationError(f"{lexeme!r} is none of {SPELLINGS}")
    if not name:
        raise ConfigurationError(f"{lexeme!r} lacks a name: write {word}:NAME")
    return _spelled_flag(name) if word == "flag" else SPELLED_WITH_A_NAME[word](_unquoted(name))


def _spelled_flag(text: str) -> Requirement:
    found = re.fullmatch(_FLAG, text, re.DOTALL)
    if found is None or found[2] == "":
        raise ConfigurationError(f"'flag:{text}' cannot be read: write flag:KEY, or flag:KEY=VALUE")
    return flag(_unquoted(found[1]), True if found[2] is None else _value(found[2]))


def _value(text: str) -> object:
    """A feature flag's value, of the type it has in a token."""
    if text in ("true", "false") or re.fullmatch(_NUMBER, text):
        return json.loads(text)
    return _unquoted(text)


def _unquoted(text: str) -> str:
    if '"' not in text:
        return text
    try:
        name = json.loads(text)
    except ValueError:
        raise ConfigurationError(f"quotation marks stand around the whole of a name, as in JSON, not {text}") from None
    return str(name)
