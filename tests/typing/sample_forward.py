"""What a user of ``kinde_guard.forward`` writes; mypy and pyright, both strict, say nothing but where it is wrong."""

from __future__ import annotations

from kinde_guard import Guard
from kinde_guard.forward import ForwardAuth

guard = Guard("acme.kinde.com", audience="https://api.acme.com")
application = ForwardAuth(guard, statuses="nginx", identity_headers=True, healthz="/healthz")
ForwardAuth(domain="acme.kinde.com", audience=["https://api.acme.com"], leeway=5)

ForwardAuth(audiance="https://api.acme.com")  # type: ignore[call-arg]
ForwardAuth(guard, statuses="apache")  # type: ignore[arg-type]
ForwardAuth(leeway="5")  # type: ignore[arg-type]
