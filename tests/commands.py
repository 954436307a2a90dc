"""The command line, in the process of the tests."""

from __future__ import annotations

import pytest
from helpers import Outcome

from kinde_guard.cli import main
from kinde_guard.issuer import LocalIssuer


def outcome_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> Outcome:
    """What ``kinde-guard`` comes to with *arguments*, and nothing that was printed before."""
    capsys.readouterr()
    try:
        status = main(arguments)
    except SystemExit as end:
        status = int(end.code or 0)
    return Outcome(status, *capsys.readouterr())


def variables_of_app(kinde: LocalIssuer) -> dict[str, str]:
    """Those of an API that trusts *kinde*, and of the sample machine-to-machine app."""
    return {
        "KINDE_DOMAIN": kinde.url,
        "KINDE_AUDIENCE": kinde.audience,
        "KINDE_M2M_CLIENT_ID": kinde.app.client_id,
        "KINDE_M2M_CLIENT_SECRET": kinde.app.client_secret,
        "KINDE_M2M_AUDIENCE": kinde.audience,
    }
