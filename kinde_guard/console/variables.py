"""What to export so that an API and its clients use a local Kinde: for the terminal and for a page alike."""

from __future__ import annotations

from ..issuer import LocalIssuer


def variables(issuer: LocalIssuer) -> dict[str, str]:
    """Variables by name, for an API that trusts *issuer*, for the sample machine-to-machine app and for a page that
    signs in."""
    return {
        "KINDE_DOMAIN": issuer.url,
        "KINDE_AUDIENCE": issuer.audience,
        "KINDE_REPORT_VERDICTS_TO": issuer.url,
        "KINDE_CLIENT_ID": issuer.front_end_app.client_id,
        "KINDE_M2M_CLIENT_ID": issuer.app.client_id,
        "KINDE_M2M_CLIENT_SECRET": issuer.app.client_secret,
        "KINDE_M2M_AUDIENCE": issuer.audience,
        "KINDE_API_IDS": issuer.registry.own_api(issuer.audience).id,
    }


def exports(issuer: LocalIssuer) -> str:
    """The same in lines for a shell."""
    return "\n".join(f"export {name}={value}" for name, value in variables(issuer).items())
