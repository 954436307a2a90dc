"""What a file of variables leaves in a value by mistake: a comment, quotes, ``${NAME}``, a list, ``null`` and the like.

Programs differ in how they read such files, and what one of them takes away another hands on as part of the value. A
guard that took it for a domain or an audience would refuse every token, or trust what was meant as a remark. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from ..errors import ConfigurationError

MOST_SHOWN = 120
_QUOTE = "['\u2018\u2019\u201a\u201b\u2039\u203a]"  # inside of a word it is an apostrophe
_NAMED_BY_US = r"KINDE_\w+\s*[=:]"

_COMMENT = "holds a comment", "put comments on lines of their own: what reads the file takes the whole line"
_LIST = "is written as a list", "write the values bare, with commas between them"
_ASSIGNMENT = "holds the name of a variable", "write what comes after the name, and each variable on a line of its own"
_QUOTES = "has quotes in it", "write it without them: files for docker --env-file and the like are taken literally"
_REFERENCE = "is a placeholder", "nothing has put a value in its place; write the value itself"
_NOTHING = "says that there is no value", "set it, or unset it"
_END = "ends as a line of code does", "take the last character away"

_LEAVINGS = (
    (
        r"\$[{(\[A-Za-z_]|#\{|\{\{|\}\}|\{[A-Za-z_][\w.-]*\}|<%|(?:^|\s)@\w+@(?:\s|$)|(?:^|\s)__\w+__(?:\s|$)",
        *_REFERENCE,
    ),
    (r"^(?!(?:[^%]|%[0-9A-Fa-f]{2})*$).*%[A-Za-z_]\w*%", *_REFERENCE),  # unless it is all percent-encoding
    (r"(?:^|[\s,])(?:#|(?://|--|;)(?=\s|$)|/\*|<!--)", *_COMMENT),
    (r"^\s*(?:\[(?![0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\])|\{\s*[\"'}]|\(.*\)\s*$|-\s)|(?<![0-9A-Fa-f:])\]\s*$", *_LIST),
    (
        rf"^\s*(?:export\s|set\s|=|\w+:\s)|{_NAMED_BY_US}|^\s*KINDE_[A-Z0-9_]+\s*$|(?:^|\s)(?:[A-Z_][A-Z0-9_]+"
        r"|(?i:audience|domain|client_id|client_secret|scopes?))=(?!=|\s|$)",
        *_ASSIGNMENT,
    ),
    (rf"(?:^|[\s,]){_QUOTE}|{_QUOTE}(?:[\s,]|$)|[\"\u201c-\u201f\u00ab\u00bb`\uff02]", *_QUOTES),
    (r"(?i)(?:^|[\s,])(?:null|none|nil|undefined|nan|true|false|~)(?:[\s,]|$)", *_NOTHING),
    (r"[;\\](?:[\s,]|$)", *_END),
)
# A secret may be made of any characters: only what has the form of a mistake from end to end is taken for one.
_LEAVINGS_IN_SECRETS = (
    (r"\s#|^#\s", *_COMMENT),
    (r"^\[.*\]$|^\{(?!\{).*\}$", *_LIST),
    (r"^(?:export\s|\w*SECRET\w*=|KINDE_\w+$)|KINDE_\w+=", *_ASSIGNMENT),
    (rf"^(?:{_QUOTE}|[\"\u201c-\u201f])|(?:{_QUOTE}|[\"\u201c-\u201f])$", *_QUOTES),
    (r"^(?:\$\{.*\}|\$\(.*\)|\$[A-Z_][A-Z0-9_]*|%[A-Za-z_]\w*%|\{\{.*\}\})$", *_REFERENCE),
    (r"(?i)^(?:null|none|nil|undefined|nan|true|false)$", *_NOTHING),
)
# Where these stand beside a value, it is not shown.
_SECRET = re.compile(r"@|secret|passw|token|private", re.I)
_NAMES = {"\ufeff": "a byte order mark", "\r": "a line end of Windows", "\u200b": "a zero-width space"}
# A word that could stand in a sentence: letters, and perhaps marks around them.
_PLAIN = re.compile(r"\W*[^\W\d_]*\W*")


def check(name: str, text: str, *, shown: bool = True, secret: bool = False) -> None:
    """Raises :class:`ConfigurationError` if something was left in *text*. It is *shown* unless it may hold a secret;
    a *secret* may be made of odd characters."""
    for what, mend in (*_invisible(text), *_matching(text, secret)):
        raise ConfigurationError(f"{name} {what}{_shown(text) if shown else ''}: {mend}")


def words(text: str) -> list[str]:
    """One or several values of a variable, separated by white space or commas."""
    return [word for word in re.split(r"[\s,]+", text) if word]


def values(name: str, text: str) -> list[str]:
    """The domains or audiences in a variable. What may as well be a word of a comment is not taken for one of several,
    unless there are commas (or line ends) around it."""
    check(name, text)
    for part in re.split(r"[,\n]", text):
        several = part.split()
        plain = [word for word in several if _PLAIN.fullmatch(word) or word.endswith(":")]
        if plain and len(several) > 1:
            raise ConfigurationError(
                f"{name} holds {plain[0]!r}, which may be a word of a comment{_shown(text, ', in ')}: remove "
                "it, or separate the values by commas"
            )
    return words(text)


def _invisible(text: str) -> Iterator[tuple[str, str]]:
    for character in text:
        if character not in "\n\t" and (not character.isprintable() or character == "\ufffd"):
            named = _NAMES.get(character) or unicodedata.name(character, "a control character").lower()
            yield (
                f"has a character that cannot be seen, U+{ord(character):04X} ({named})",
                "delete it; save the file as UTF-8 without a byte order mark, with line ends of Unix",
            )


def _matching(text: str, secret: bool) -> Iterator[tuple[str, str]]:
    for pattern, what, mend in _LEAVINGS_IN_SECRETS if secret else _LEAVINGS:
        if re.search(pattern, text):
            yield what, mend


def _shown(text: str, before: str = ", ") -> str:
    if _SECRET.search(text):
        return ""
    return f"{before}{text[:MOST_SHOWN]!r}{'…' if len(text) > MOST_SHOWN else ''}"
