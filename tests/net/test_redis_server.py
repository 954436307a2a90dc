"""The real Redis of the tests does what its tests rely on."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis_server import NO_SERVER, RedisServer, running_redis


def test_a_redis_that_keeps_nothing_is_empty_after_a_kill(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set("a", "1")
    redis_server.kill()
    redis_server.start()
    with redis_server.client() as client:
        assert client.get("a") is None


def test_a_redis_that_keeps_all_has_it_after_a_kill_unless_it_is_started_empty(tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis", keeps=True) as server:
        with server.client() as client:
            client.set("a", "1")
        server.kill()
        server.start()
        with server.client() as client:
            assert client.get("a") == "1"
        server.kill()
        server.start(empty=True)
        with server.client() as client:
            assert client.get("a") is None


def test_a_replica_has_what_was_written_and_is_made_the_primary(redis_server: RedisServer) -> None:
    with redis_server.client() as client, redis_server.replica() as replica, replica.client() as other:
        client.set("a", "1")
        client.wait(1, 0)
        redis_server.kill()
        other.replicaof("NO", "ONE")
        assert other.get("a") == "1"
        other.set("a", "2")


def test_where_there_is_no_server_the_reason_is_said(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match=NO_SERVER):
        RedisServer(tmp_path, program=None)
