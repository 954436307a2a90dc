"""An issuer's keys: how they are read, chosen and fetched ahead of need, and what is said of them."""
