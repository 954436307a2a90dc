"""``kinde-guard revoke`` and ``kinde-guard revocations``: what is revoked before it expires, and who refuses it."""
