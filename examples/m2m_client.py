"""A machine-to-machine client: gets a token with client credentials and calls one of the example APIs.

    python examples/m2m_client.py http://127.0.0.1:8000

Configured by the environment: KINDE_M2M_CLIENT_ID, KINDE_M2M_CLIENT_SECRET, KINDE_M2M_AUDIENCE, and KINDE_DOMAIN.
"""

import sys

import httpx

from kinde_guard.m2m import ClientCredentials


def main(api: str) -> int:
    """Call every route of the API at *api*; 0 if each answered as an authorised app may expect."""
    auth = ClientCredentials(api=api)  # the token goes to this API and nowhere else
    with httpx.Client(base_url=api, auth=auth) as client:
        answers = [
            client.get("/healthz", auth=None),
            client.get("/me"),
            client.get("/users"),
            client.post("/flags", json={"dark_mode": True}),
        ]
    for answer in answers:
        print(answer.request.method, answer.request.url.path, answer.status_code, answer.text.strip())
    return 0 if all(answer.is_success for answer in answers) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"))
