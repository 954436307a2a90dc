"""``kinde-guard forward-auth``: what a reverse proxy asks, and the proxy's part of it."""
