"""Values that are given as arguments, or in ``KINDE_*`` variables: one text, or several. Pure.

An empty value is never "no check", and nothing that a file of variables leaves in one by mistake is taken for a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..errors import ConfigurationError
from ..web.wording import few
from . import leavings
from .urls import issuer_url

Domains = str | Iterable[str]
Variables = Mapping[str, object]

DOMAIN_VARIABLES = ("KINDE_DOMAIN", "KINDE_ISSUER_URL", "KINDE_HOST")


def issuer_urls(domain: Domains | None, variables: Sequence[Variables]) -> tuple[str, ...]:
    """The trusted issuers, from the argument or from ``KINDE_DOMAIN``, ``KINDE_ISSUER_URL``, ``KINDE_HOST``."""
    if domain is not None:
        return _issuers(given_texts("domain", domain), "domain")
    for source in variables:
        named = {name: source[name] for name in DOMAIN_VARIABLES if source.get(name) is not None}
        if named:
            return _agreed({name: _issuers(words_of(name, value), name) for name, value in named.items()})
    raise ConfigurationError(
        "no Kinde domain is set: set the environment variable KINDE_DOMAIN (such as acme.kinde.com), or pass domain="
        + misspelt("KINDE_DOMAIN", variables)
    )


def misspelt(name: str, variables: Sequence[Variables]) -> str:
    """The end of a sentence that says that *name* is not set: another name is, which is nearly the same."""
    from difflib import get_close_matches  # only here: where all is well it need not be loaded

    others = {found.upper(): found for source in variables for found in source if "M2M" not in found}
    near = get_close_matches(name, others, 1, 0.85)
    return f". {others[near[0]]} is set: is its name misspelt?" if near else ""


def nonempty_texts(name: str, values: str | Iterable[str]) -> list[str]:
    """One text or several, none of them empty."""
    try:
        texts = [values] if isinstance(values, str) else list(values)
    except TypeError:
        raise ConfigurationError(f"{name} must be text or several texts, not {values!r}") from None
    for text in texts:
        if not isinstance(text, str):
            raise ConfigurationError(f"{name} must be text or several texts, not {text!r}")
        if not text.strip():
            raise ConfigurationError(f"{name} is empty: set it to a value. An empty value never turns the check off")
        if text != text.strip():
            raise ConfigurationError(f"{name} begins or ends with a space: {text!r}")
    return texts


def given_texts(name: str, values: str | Iterable[str]) -> list[str]:
    """:func:`nonempty_texts`, with nothing in them that a file of variables leaves by mistake."""
    texts = nonempty_texts(name, values)
    for text in texts:
        leavings.check(name, text)
    return texts


def value_of(name: str, variables: Sequence[Variables]) -> object:
    """Its value in the first of *variables* that has one."""
    return next((source[name] for source in variables if source.get(name) is not None), None)


def words_of(name: str, value: object) -> list[str]:
    """The value of a variable: text with one or several words, or (in Flask's config) several texts."""
    if isinstance(value, str):
        return leavings.values(name, value)
    return given_texts(name, value)  # type: ignore[arg-type]  # it checks what it gets


def _agreed(found: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    first, *others = found
    for other in others:
        if set(found[other]) - set(found[first]):
            raise ConfigurationError(
                f"{first} and {other} name different issuers ({few(found[first])}, and {few(found[other])}): "
                f"unset one of them, or list both in {first}"
            )
    return found[first]


def _issuers(texts: Sequence[str], name: str) -> tuple[str, ...]:
    if not texts:
        raise ConfigurationError(f"{name} is empty: set it to your Kinde domain, such as 'acme.kinde.com'")
    return tuple(dict.fromkeys(issuer_url(text, name) for text in texts))
