"""How much a verified request costs with kinde_guard, beside its peers: ``python -m benchmarks``.

Every cost is a multiple of one bare ``cryptography`` signature check, measured in the same rounds: such ratios hold
from one machine to the next, and through its noise, where microseconds do not.
"""
