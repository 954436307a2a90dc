"""ryjwt in a Python that has it, which has neither kinde_guard nor these benchmarks: a script that stands alone."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import ryjwt  # type: ignore[import-not-found,unused-ignore]

settings = json.loads(sys.argv[1])
client = ryjwt.JWKSClient(
    settings["jwks_url"], algorithms=["RS256"], audience=settings["audience"], issuer=settings["issuer"]
)
sets: dict[str, tuple[list[bytes], list[int]]] = {}


def accepted(token: str) -> bool:
    try:
        client.decode(token)
    except Exception:
        return False
    return True


def load(question: dict[str, Any]) -> None:
    sets[question["set"]] = [token.encode() for token in question["tokens"]], question["order"]


def run(name: str, first: int, count: int) -> int:
    tokens, order = sets[name]
    batch = [tokens[order[number % len(order)]].decode() for number in range(first, first + count)]
    began = time.process_time_ns()
    for token in batch:
        client.decode(token)
    return time.process_time_ns() - began


def answer(question: dict[str, Any]) -> dict[str, Any]:
    match question["do"]:
        case "list":
            return {"ways": [{"name": "ryjwt", "remembers": False}]}
        case "check":
            return {"accepted": accepted(question["token"])}
        case "load":
            load(question)
            return {}
        case _:
            return {"ns": run(question["set"], question["first"], question["count"])}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
