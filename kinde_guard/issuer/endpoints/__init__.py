"""What a local Kinde answers, one file for each endpoint; :mod:`.table` says which there are."""
