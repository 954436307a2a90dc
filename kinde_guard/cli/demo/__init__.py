"""``kinde-guard demo``: a local Kinde, an API and a client, and what they say to each other."""
