"""The keys and their rotations, and every way for the endpoints to be broken."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigurationError
from ..issuer import FAULTS, LocalIssuer, SigningKey
from ..issuer.tenant import PLACE_NAMES, Place
from .forms import FieldError, SentForm, at_field
from .pages import Page, Values, View
from .state import ConsoleState

PLACES: dict[str, str] = {
    "keys": "Signing keys",
    "token": "Token endpoint",
    "discovery": "Discovery",
    "verify": "Verification of API keys",
    "api_keys": "Other requests for API keys",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the list of keys: one that is published, and what it is used for."""

    kid: str
    kind: str
    state: str
    signs: bool


def show(state: ConsoleState, form: SentForm) -> Values:
    """Keys, faults at work, faults to be had."""
    issuer = state.issuer
    return {
        "keys": [_row(issuer, key) for key in issuer.keys],
        "fetches": issuer.jwks_fetches,
        "requests": issuer.token_requests,
        "faults": FAULTS,
        "broken": issuer.faults,
        "down": issuer.down,
        "places": PLACES,
        "by_place": _by_place(),
        "chosen": {name: form.text(name) for name in ("at", "fault", "value")},
    }


def rotate(state: ConsoleState, form: SentForm) -> View:
    """Softly, hard, or but announced."""
    how = form.text("how")
    if how == "next":
        already = "already " if state.issuer.upcoming else ""
        key = state.issuer.upcoming or state.issuer.publish_next()
        return View(notice=f"{_short(key)} is {already}published. It signs after the next rotation.")
    if how not in ("soft", "hard"):
        raise ConfigurationError("keys are rotated softly or hard")
    key = state.issuer.rotate(hard=how == "hard")
    older = "No older key is published any more." if how == "hard" else "Older keys stay published."
    return View(notice=f"{_short(key)} signs now. {older}")


def withdraw(state: ConsoleState, form: SentForm) -> View:
    """Publish one of the older keys no more."""
    kid = form.text("kid")
    if kid not in {key.kid for key in state.issuer.keys}:
        raise ConfigurationError("no key of that name is published")
    try:
        state.issuer.withdraw(kid)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    return View(notice="The key is withdrawn. A guard that has fetched the keys again refuses its tokens.")


def break_down(state: ConsoleState, form: SentForm) -> View:
    """Break an endpoint, with the fault's option if one is given."""
    name, at = form.text("fault"), _place(form)
    value = form.number("value")
    options = {} if value is None or name not in FAULTS else dict.fromkeys(FAULTS[name].options, value)
    if value is not None and name in FAULTS and not options:
        raise FieldError(f"the fault {name!r} takes no number: leave it out", "value")
    with at_field("fault" if name not in FAULTS else "at" if at not in FAULTS[name].places else "value"):
        state.issuer.break_down(name, at, **options)
    return View(notice=f"{PLACES[at]}: broken from now on ({FAULTS[name].summary}).")


def heal(state: ConsoleState, form: SentForm) -> View:
    """Heal an endpoint, or all of them."""
    if form.text("at"):
        at = _place(form)
        state.issuer.heal(at)
        return View(notice=f"{PLACES[at]}: healed.")
    state.issuer.heal()
    still = "No endpoint is broken, but the local Kinde is still down."
    return View(notice=still if state.issuer.down else "Everything works again.")


def power(state: ConsoleState, form: SentForm) -> View:
    """Take the local Kinde down, or bring it up again. The console stays."""
    state.issuer.down = form.text("down") == "yes"
    down = "The local Kinde is down. It answers everybody with 503."
    return View(notice=down if state.issuer.down else "The local Kinde is up again.")


def _place(form: SentForm) -> Place:
    at = form.text("at")
    if at not in PLACE_NAMES:
        raise FieldError(f"there is no endpoint {at!r} to break: use one of {', '.join(PLACE_NAMES)}", "at")
    return at


def _by_place() -> list[tuple[str, list[str]]]:
    """The faults, in groups by what they can break."""
    groups: dict[tuple[Place, ...], list[str]] = {}
    for name, fault in FAULTS.items():
        groups.setdefault(fault.places, []).append(name)
    every = "Any endpoint"
    return [
        (every if at == PLACE_NAMES else " and ".join(PLACES[each] for each in at), on) for at, on in groups.items()
    ]


def _row(issuer: LocalIssuer, key: SigningKey) -> Row:
    bits = getattr(key.private, "key_size", None)
    signs = key is issuer.key
    state = "signs" if signs else "signs next" if key is issuer.upcoming else "published"
    if isinstance(bits, int) and key.alg.startswith("RS") and bits < 2048:
        state = "published, too weak to be used"
    return Row(key.kid, f"{key.alg}{f', {bits} bits' if bits else ''}", state, signs)


def _short(key: SigningKey) -> str:
    return f"{key.kid[:11]}…"


PAGE = Page(
    "/keys",
    "Keys and faults",
    "keys.html",
    show,
    {
        "/keys/rotate": rotate,
        "/keys/withdraw": withdraw,
        "/keys/break": break_down,
        "/keys/heal": heal,
        "/keys/power": power,
    },
)
