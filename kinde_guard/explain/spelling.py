"""Demands as people write them at a terminal and in a form: ``scope:read:users``, ``role:admin | machine``."""

from __future__ import annotations

from ..requirements import Requirement, parse


def spelled(text: str) -> Requirement:
    """What *text* demands (:func:`~kinde_guard.requirements.parse`); ``m2m``, an older word, is ``machine``."""
    return parse("machine" if text == "m2m" else text)
