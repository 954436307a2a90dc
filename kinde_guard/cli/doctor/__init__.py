"""``kinde-guard doctor``: examines the settings, an issuer and its keys, and gets a token, step by step."""
