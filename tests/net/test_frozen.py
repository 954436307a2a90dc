"""What stands for a value is made whole and never changed."""

from __future__ import annotations

import pytest
from helpers import AUDIENCE, DOMAIN, jwk, key_set

from kinde_guard.keys.jwk import read_jwk_set
from kinde_guard.keys.key_set import KeySet
from kinde_guard.net.exchange import HttpAnswer
from kinde_guard.net.frozen import Frozen
from kinde_guard.settings import Settings


def values() -> list[Frozen]:
    (key,) = read_jwk_set(key_set(jwk()), ("RS256",), {}).keys.values()
    return [key, KeySet(), Settings.load(DOMAIN, audience=AUDIENCE)]


@pytest.mark.parametrize("value", values(), ids=lambda value: type(value).__name__)
def test_it_is_never_changed(value: Frozen) -> None:
    for name in (*value.__slots__, "another"):
        before = getattr(value, name, None)
        with pytest.raises(AttributeError, match="never changed"):
            setattr(value, name, None)
        with pytest.raises(AttributeError, match="never changed"):
            delattr(value, name)
        assert getattr(value, name, None) is before


def test_an_answer_is_equal_to_its_like() -> None:
    one = HttpAnswer(200, {"a": "b"}, b"secret")
    assert one == HttpAnswer(200, {"a": "b"}, b"secret")
    assert one != HttpAnswer(200, {"a": "b"}, b"another")
    assert one != (200, {"a": "b"}, b"secret")
    assert "secret" not in repr(one)
