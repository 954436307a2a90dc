"""``kinde-guard verify`` of a Kinde API key: Kinde is asked, as a guard does that takes keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import outcome_of
from helpers import Outcome
from servers import served_issuer

from kinde_guard.issuer import LocalIssuer

Verify = Callable[..., Outcome]


@pytest.fixture(scope="module")
def kinde() -> Iterator[LocalIssuer]:
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture
def verify(
    kinde: LocalIssuer,
    no_settings: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Verify:
    """What is said of a key in a file, with the settings of an API that takes keys."""
    settings = {
        "KINDE_DOMAIN": kinde.url,
        "KINDE_AUDIENCE": kinde.audience,
        "KINDE_M2M_CLIENT_ID": kinde.app.client_id,
        "KINDE_M2M_CLIENT_SECRET": kinde.app.client_secret,
        "KINDE_API_IDS": kinde.registry.own_api(kinde.audience).id,
    }
    file = tmp_path / "key.txt"

    def verify(key: str, *arguments: str, without: str = "") -> Outcome:
        file.write_text(key)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv(without, raising=False)
        return outcome_of(capsys, "verify", str(file), *arguments)

    return verify


def test_a_good_key(verify: Verify, kinde: LocalIssuer) -> None:
    made = kinde.create_api_key(scopes=["read:users"])
    done = verify(made.key, "--require", "scope:read:users")
    assert (done.status, done.err.partition(",")[0]) == (0, f"valid: API key {made.id}")
    assert verify(f"Bearer {made.key}", "--require", "scope:write:flags").status == 1


def test_a_users_key(verify: Verify, kinde: LocalIssuer) -> None:
    user = kinde.registry.users[0].id
    made = kinde.create_api_key(user=user)
    assert verify(made.key).err.startswith(f"valid: API key {made.id} of user {user}, good for ")
    assert verify(made.key, "--json").document["claims"]["sub"] == user
    assert verify(made.key, "--json", "--domain", kinde.url).status == 0


def test_one_that_is_refused(verify: Verify, kinde: LocalIssuer) -> None:
    made = kinde.create_api_key()
    kinde.revoke_api_key(made)
    done = verify(made.key)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("refused: invalid_api_key")
    other = kinde.add_api("https://other.example.com", ["x:y"])
    assert verify(kinde.create_api_key(audience=other.audience).key, "--json").document["reason"] == "wrong_api"
    assert made.key not in done.err


@pytest.mark.parametrize("name", ["KINDE_API_IDS", "KINDE_M2M_CLIENT_ID", "KINDE_M2M_CLIENT_SECRET"])
def test_what_is_missing_is_named(verify: Verify, kinde: LocalIssuer, name: str) -> None:
    """For a key alone: a token needs none of it."""
    done = verify(kinde.create_api_key().key, without=name)
    assert (done.status, done.out) == (2, "")
    assert name in done.err
    assert verify(kinde.m2m_token(), without=name).status == 0


def test_nobody_can_tell(verify: Verify, kinde: LocalIssuer) -> None:
    """What to mend is said, and is not the network."""
    with kinde.broken("scope_missing", "verify"):
        done = verify(kinde.create_api_key().key)
        assert done.status == 3
        assert done.err.startswith("cannot tell: api_keys_unavailable")
        assert f"No answer about API keys from {kinde.url}: {kinde.url} answered 403 to our own token" in done.err
        assert "give it the scope read:api_keys" in done.err
        assert "Fix: " not in done.err
        document = verify(kinde.create_api_key().key, "--json").document
    assert set(document["problems"]) == {kinde.url}
