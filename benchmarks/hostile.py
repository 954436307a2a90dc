"""hostile: what a token of 16 KiB costs whose signature does not hold, whatever its payload is made of."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from kinde_guard import Guard, InvalidToken

from .bench import Bench
from .measure import Case, Samples, calls, interleave
from .peers.pyjwt import with_key
from .report import Bar, Report, Table, Value
from .tokens import Site, user_claims

MOST = 10.0  # times a small one
SMALL = "a usual one"
ROOM = 11_000  # bytes of a payload, of a token that is not longer than 16 KiB


def _list(unit: str, count: int) -> str:
    return "[" + ",".join([unit] * count) + "]"


def _object(value: str, count: int) -> str:
    return "{" + ",".join(f'"{number:03x}":{value}' for number in range(count)) + "}"


def _text(unit: str, count: int) -> str:
    return '"' + unit * count + '"'


SHAPES: dict[str, str] = {
    SMALL: "",
    "420 feature flags": _object('{"t":"b","v":true}', 420),
    "1,400 permissions": json.dumps([f"p{number:03x}" for number in range(1_400)], separators=(",", ":")),
    "5,000 brackets": "[" * 5_000,
    "lists": _list("[]", ROOM // 3),
    "objects": _list("{}", ROOM // 3),
    "objects of one member": _list('{"":1}', ROOM // 7),
    "as many of them as there may be": _list('{"":1}', 490),
    "lists 29 deep": _list("[" * 29 + "]" * 29, ROOM // 59),
    "objects 29 deep": _list('{"":' * 28 + "{}" + "}" * 28, ROOM // 143),
    "fractions": _list("1.5e10", ROOM // 7),
    "powers of ten": _list("1e9", ROOM // 4),
    "numbers": _list("1", ROOM // 2),
    "as many numbers as there may be": _list("1", 2_900),
    "long numbers": _list("9" * 4_300, 2),
    "members": _object("1", 1_370),
    "empty texts": _list('""', ROOM // 3),
    "texts": _list('"a"', 2_700),
    "escapes": _text(r"\u0041", ROOM // 6),
    "pairs of escapes": _text(r"\ud83d\ude00", ROOM // 12),
    "marks in a text": _text("{[,:", ROOM // 4),
    "white space": "1" + " " * ROOM,
}
COLUMNS = ("x a usual one", "CPU µs", "PyJWT decode, CPU µs", "characters", "refused as")


def run(bench: Bench) -> Report:
    """One table, with the dearest first."""
    tokens = {name: _token(bench.site, value) for name, value in SHAPES.items()}
    guard = bench.site.guard(retry_after=3_600)
    ours, theirs = _samples(bench, tokens, guard.verify), _samples(bench, tokens, with_key(bench.site))
    times = {name: ours.ratio(name, SMALL).median for name in tokens}
    rows: list[tuple[str, list[Value]]] = [
        (name, [times[name], ours.micros(name), theirs.micros(name), len(tokens[name]), _reason(guard, tokens[name])])
        for name in sorted(tokens, key=times.__getitem__, reverse=True)
    ]
    bar = Bar(f"the dearest, {rows[0][0]}", times[rows[0][0]], MOST, unit=f"x {SMALL}")
    title = "hostile: tokens whose signature does not hold, by what their payload is made of"
    return Report("hostile", [Table(title, COLUMNS, rows, bars=[bar])])


def _reason(guard: Guard, token: bytes) -> str:
    try:
        guard.verify(token.decode())
    except InvalidToken as refusal:
        return refusal.reason
    return "accepted"


def _samples(bench: Bench, tokens: dict[str, bytes], verify: Callable[[str], object]) -> Samples:
    def refused(token: str) -> None:
        try:
            verify(token)
        except Exception:
            return
        raise RuntimeError("a forged token was let in")

    cases = [Case(name, calls(refused, [token])) for name, token in tokens.items()]
    return interleave(cases, bench.effort.rounds, bench.effort.calls, bench.progress, "hostile")


def _token(site: Site, value: str) -> bytes:
    """A user's, with one more claim, and with the signature of another token."""
    header, _, signature = site.issuer.token(user_claims(site.issuer)).split(".")
    claims = json.dumps(user_claims(site.issuer), separators=(",", ":"))
    payload = claims[:-1] + f',"x":{value}}}' if value else claims
    token = b".".join((header.encode(), base64.urlsafe_b64encode(payload.encode()).rstrip(b"="), signature.encode()))
    if len(token) > 16 * 1024:
        raise RuntimeError(f"it would be refused for its length: {len(token)}")
    return token
