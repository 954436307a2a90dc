"""Why a token is let in or not: every check that the guard makes, what was expected and found, and what to do.

explanation = explain(raw, Settings.load(…), time.time(), keys, [scope("read:users")])
"""

from __future__ import annotations

from .checks import Check, Explanation, KeySource, explain, explain_header

__all__ = ["Check", "Explanation", "KeySource", "explain", "explain_header"]
