"""``kinde-guard scopes``: what an app demands, beside what its API has in Kinde."""
