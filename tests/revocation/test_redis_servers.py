"""Revocations in what people run: a cluster, Valkey's own server, a Sentinel that hands over to a replica which lacks
what was written last."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from redis_server import VALKEY, RedisServer, free_port, running_cluster, running_redis
from test_with_redis import ISSUER, STREAM, SUBJECTS, Worker, _is_written, names, revoke
from waiting import until

from kinde_guard.issuer.tls import _certificate
from kinde_guard.revocation import Revocations
from kinde_guard.revocation.entry import fields_of, made
from kinde_guard.revocation.redis_streams import PAGE


@pytest.fixture
def workers() -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def make(*args: Any, **settings: Any) -> Worker:
        made.append(Worker(*args, **settings))
        return made[-1]

    yield make
    for worker in made:
        worker.ends()


Make = Callable[..., Worker]


def test_a_cluster_of_which_the_server_that_has_them_is_killed(tmp_path: Path, workers: Make) -> None:
    """All keys of an issuer's are in one slot. Its server comes back empty, and the workers put back what it had."""
    import redis.cluster

    with running_cluster(tmp_path) as servers:
        clients: list[Any] = [
            redis.cluster.RedisCluster(host="127.0.0.1", port=servers[number].port, socket_timeout=2)
            for number in range(2)
        ]
        one, two = (workers(client).follows() for client in clients)
        revoke(one, SUBJECTS[:50])
        lifted = two.revocations.revoke_subject("kp_lifted")
        two.knows(*SUBJECTS[:50])
        two.revocations.lift(lifted)
        until(lambda: not one.refuses("kp_lifted"))
        until(lambda: len(one.revocations.reached().applied) == 2)
        port = clients[0].get_node_from_key(STREAM).port
        (home,) = [server for server in servers if server.port == port]
        home.kill()
        home.start()
        late = Revocations(clients[0]).bind(one.guard.issuers)
        until(lambda: _subjects(late) == sorted(SUBJECTS[:50]))
        asyncio.run(two.revocations.arevoke_subject("kp_after"))
        one.knows("kp_after", *SUBJECTS[:50])
        for worker, client in zip((one, two), clients, strict=True):
            worker.ends()
            client.close()


def _subjects(revocations: Revocations) -> list[str]:
    import redis

    try:
        return sorted(entry.value for entry in revocations.entries() if entry.value != "kp_lifted")
    except redis.RedisError:  # the cluster is not whole, for a moment
        return []


@pytest.mark.skipif(VALKEY is None, reason="there is no valkey-server: apt-get install valkey-server")
def test_valkey_s_own_server(tmp_path: Path, workers: Make) -> None:
    with running_redis(tmp_path / "valkey", program=VALKEY) as server:
        fleet = [workers(server.url).follows() for _ in range(2)]
        with server.replica() as replica:
            revoke(fleet[0], SUBJECTS[:20])
            assert fleet[0].revocations.confirmed
            assert names(replica) == sorted(SUBJECTS[:20])
        fleet[1].knows(*SUBJECTS[:20])
        entry = fleet[0].revocations.revoke_all()
        fleet[1].knows("kp_anybody")
        fleet[1].revocations.lift(entry)
        until(lambda: not fleet[0].refuses("kp_anybody"))
        server.kill()
        server.start()
        until(lambda: names(server) == sorted(SUBJECTS[:20]))  # what was lifted is nothing that is missing
        late = workers(server.url).follows()
        assert all(late.refuses(subject) for subject in SUBJECTS[:20])
        until(lambda: len(late.revocations.reached().applied) == 3)


def test_sentinel_hands_over_to_a_replica_that_lacks_what_was_written_last(
    redis_server: RedisServer, tmp_path: Path, workers: Make
) -> None:
    """The primary had acknowledged it."""
    import redis.sentinel

    watched = (
        f"sentinel monitor kinde 127.0.0.1 {redis_server.port} 1",
        "sentinel down-after-milliseconds kinde 1000",
        "sentinel failover-timeout kinde 1000",
    )
    with redis_server.replica() as replica, running_redis(tmp_path / "sentinel", sentinel=watched) as watcher:
        sentinel: Any = redis.sentinel.Sentinel([("127.0.0.1", watcher.port)], socket_timeout=2)  # type: ignore[no-untyped-call]
        until(lambda: len(sentinel.discover_slaves("kinde")) == 1)
        clients = [sentinel.master_for("kinde", socket_timeout=2) for _ in range(2)]
        one, two = (workers(client).follows() for client in clients)
        revoke(one, SUBJECTS[:20])
        until(lambda: names(replica) == sorted(SUBJECTS[:20]))
        _cut_off(redis_server)
        revoke(one, SUBJECTS[20:40])
        two.knows(*SUBJECTS[:40])
        assert names(replica) == sorted(SUBJECTS[:20])
        redis_server.kill()
        until(lambda: _names_of_promoted(replica) == sorted(SUBJECTS[:40]))
        for worker in (one, two):
            worker.follows()
            assert all(worker.refuses(subject) for subject in SUBJECTS[:40])
        late = workers(replica.url).follows()
        assert all(late.refuses(subject) for subject in SUBJECTS[:40])
        for worker, client in zip((one, two), clients, strict=True):
            worker.ends()
            client.close()
        for each in sentinel.sentinels:
            each.close()


def _names_of_promoted(replica: RedisServer) -> list[str]:
    """Of whom its entries are about, once it answers: who becomes the primary closes all connections."""
    import redis

    try:
        return names(replica)
    except redis.ConnectionError:
        return []


def _cut_off(primary: RedisServer) -> None:
    """Its replicas hear nothing more from it, and go on otherwise."""
    with primary.client() as client:
        client.execute_command("ACL SETUSER", "default", "-psync", "-sync")
        client.execute_command("CLIENT KILL", "TYPE", "replica")  # which an old redis-py does not name
        until(lambda: not client.role()[2])


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # redis-py leaves the socket of a failed handshake lying about
def test_over_tls(tmp_path: Path, workers: Make) -> None:
    """``rediss://``: a certificate that nobody here trusts is no Redis of ours."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, private = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(_certificate("127.0.0.1", key).public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    port = str(free_port())
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(private), "--tls-auth-clients", "no")
    with running_redis(tmp_path / "redis", "--tls-port", port, *files) as server:
        url = f"rediss://127.0.0.1:{port}/0"
        one, two = (workers(f"{url}?ssl_ca_certs={certificate}").follows() for _ in range(2))
        one.revocations.revoke_subject("kp_1")
        two.knows("kp_1")
        assert names(server) == ["kp_1"]
        stranger = workers(url)
        stranger.revocations.load_behind()
        until(lambda: stranger.revocations.health().problem)
        assert stranger.revocations.health().state == "never_loaded"
        stranger.ends()
        server.kill()
        server.start()
        until(lambda: names(server) == ["kp_1"])
        for worker in (one, two):
            worker.ends()
    gc.collect()


def test_who_connects_again_reads_what_is_new_alone(tmp_path: Path, workers: Make) -> None:
    """A thousand workers that all read everything would hold the server up."""
    many = [f"kp_{number}" for number in range(3 * PAGE)]
    with running_redis(tmp_path / "redis", keeps=True) as server, server.client() as client:
        with client.pipeline(transaction=False) as pipeline:
            for subject in many:
                pipeline.xadd(STREAM, fields_of(made("subject", subject, time.time()), ISSUER))
            pipeline.execute()
        fleet = [workers(server.url).follows() for _ in range(2)]
        assert all(worker.refuses(many[-1]) for worker in fleet)
        server.kill()
        server.start()  # and counts commands anew
        until(lambda: _is_written(fleet[0], "kp_after"))
        for worker in fleet:
            worker.knows("kp_after")
        pages = client.info("commandstats").get("cmdstat_xrange", {"calls": 0})["calls"]
        assert pages <= len(fleet)  # of whom each would have read four
