"""What is answered to a webhook, and what has been done by then."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
from helpers import ISSUER, Issuer, Time, fork, guard_of, rsa_key
from waiting import LONG
from waiting import in_thread as in_a_thread
from webhook_bodies import EVENT, body

import kinde_guard.revocation
from kinde_guard import ConfigurationError, Guard, KeysUnavailable
from kinde_guard.events import Event, WebhookAnswered
from kinde_guard.webhooks import OnEvent, UserUpdated, WebhookAnswer, WebhookEvent, WebhookReceiver
from kinde_guard.webhooks.ledger import MOST_KEPT, ProcessLedger, Turn
from kinde_guard.webhooks.turns import MOST

Receive = Callable[..., WebhookAnswer]
JWT = {"content-type": "application/jwt"}


def in_thread(receiver: WebhookReceiver, data: bytes, headers: Any = JWT, method: str = "POST") -> WebhookAnswer:
    return receiver.receive(method, headers, data)


def in_asyncio(receiver: WebhookReceiver, data: bytes, headers: Any = JWT, method: str = "POST") -> WebhookAnswer:
    return asyncio.run(receiver.areceive(method, headers, data))


def in_trio(receiver: WebhookReceiver, data: bytes, headers: Any = JWT, method: str = "POST") -> WebhookAnswer:
    return trio.run(receiver.areceive, method, headers, data)


EVERY_WAY = pytest.mark.parametrize("receive", [in_thread, in_asyncio, in_trio])


class Told:
    """An ``on_event`` of every kind, which notes what it was told, and where."""

    def __init__(self) -> None:
        self.events: list[WebhookEvent] = []
        self.threads: list[threading.Thread] = []
        self.failing: list[BaseException] = []

    def plain(self, event: WebhookEvent) -> None:
        self.events.append(event)
        self.threads.append(threading.current_thread())
        if self.failing:
            raise self.failing.pop()

    async def coroutine(self, event: WebhookEvent) -> None:
        self.plain(event)

    def returning_one(self, event: WebhookEvent) -> Any:
        return self.coroutine(event)

    async def __call__(self, event: WebhookEvent) -> None:
        self.plain(event)

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]


KINDS = [
    pytest.param(lambda told: told.plain, id="def"),
    pytest.param(lambda told: told.coroutine, id="async def"),
    pytest.param(lambda told: functools.partial(told.coroutine), id="partial of async def"),
    pytest.param(lambda told: told.returning_one, id="def that returns a coroutine"),
    pytest.param(lambda told: told, id="object with async __call__"),
]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def receiver(guard: Guard, told: Told) -> WebhookReceiver:
    return WebhookReceiver(guard, told.plain)


def problem_of(answer: WebhookAnswer) -> dict[str, Any]:
    found = json.loads(answer.body)
    assert isinstance(found, dict)
    return found


@EVERY_WAY
@pytest.mark.parametrize("kind", KINDS)
def test_on_event_is_told_before_the_answer(guard: Guard, told: Told, receive: Receive, kind: Any) -> None:
    answer = receive(WebhookReceiver(guard, kind(told)), body())
    assert (answer.status, answer.body) == (200, b"")
    assert dict(answer.headers) == {"Cache-Control": "no-store", "Content-Length": "0"}
    assert [type(event) for event in told.events] == [UserUpdated]


@pytest.mark.parametrize("receive", [in_asyncio, in_trio])
def test_no_event_loop_is_held_up(guard: Guard, told: Told, receive: Receive) -> None:
    receive(WebhookReceiver(guard, told.plain), body())
    receive(WebhookReceiver(guard, told.coroutine), body())
    assert told.threads[0] is not threading.current_thread()
    assert told.threads[1] is threading.current_thread()


@EVERY_WAY
def test_a_function_that_is_written_in_c(guard: Guard, receive: Receive) -> None:
    events: list[WebhookEvent] = []
    assert receive(WebhookReceiver(guard, events.append), body()).status == 200
    assert len(events) == 1


@EVERY_WAY
def test_nobody_needs_to_be_told(guard: Guard, receive: Receive) -> None:
    assert receive(WebhookReceiver(guard), body()).status == 200


class TestAnswers:
    """Each public text is out of the table, and nothing of what was sent is in an answer."""

    @EVERY_WAY
    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "post", "TRACE", ""])
    def test_another_method(self, receiver: WebhookReceiver, told: Told, receive: Receive, method: str) -> None:
        answer = receive(receiver, body(), JWT, method)
        assert (answer.status, dict(answer.headers)["Allow"]) == (405, "POST")
        if method == "HEAD":
            assert answer.body == b""
        else:
            assert problem_of(answer)["detail"] == "Webhooks come by POST."
        assert told.events == []

    @EVERY_WAY
    @pytest.mark.parametrize(("headers", "status"), [
        ({}, 200), ({"Content-Type": ""}, 200), ({"Content-Type": "application/jwt"}, 200),
        ({"content-type": "Application/JWT; charset=utf-8"}, 200), ({"CONTENT-TYPE": " application/jwt "}, 200),
        ({"Content-Type": "application/json"}, 400), ({"Content-Type": "text/plain"}, 400),
        ({"Content-Type": "application/jwt, text/plain"}, 400), ({"Content-Type": "application/jwtx"}, 400),
        ({"Content-Type": "application/secevent+jwt"}, 400),
    ])  # fmt: skip
    def test_content_types(self, receiver: WebhookReceiver, receive: Receive, headers: Any, status: int) -> None:
        answer = receive(receiver, body(), headers)
        assert answer.status == status
        if status == 400:
            assert problem_of(answer)["error"] == "wrong_content_type"

    @EVERY_WAY
    @pytest.mark.parametrize(("data", "reason", "detail"), [
        (b"x" * 65_537, "too_large", "The body is larger than a webhook may be."),
        (b"x", "malformed", "The body is not a well-formed webhook."),
        (body(header={"alg": "none"}), "unsupported_algorithm",
         "The webhook is signed with an algorithm that is not accepted."),
        (body(header={"crit": ["x"]}), "unsupported_header", "The webhook has a header that is not accepted."),
        (body({"iss": ISSUER}), "not_an_event", "The body is no webhook's."),
        (body({"timestamp": "2020-01-01T00:00:00Z"}), "too_old", "The webhook is too old."),
        (body({"timestamp": "2030-01-01T00:00:00Z"}), "not_yet_valid", "The webhook is from the future."),
        (body(header={"kid": "x"}), "unknown_key", "The webhook is signed with an unknown key."),
        (body(key=rsa_key("another")), "bad_signature", "The signature of the webhook does not hold."),
    ])  # fmt: skip
    def test_what_is_no_event(
        self, receiver: WebhookReceiver, told: Told, receive: Receive, data: bytes, reason: str, detail: str
    ) -> None:
        answer = receive(receiver, data)
        assert answer.status == 400
        assert problem_of(answer) == {"title": "Bad Request", "status": 400, "detail": detail, "error": reason}
        headers = dict(answer.headers)
        assert headers["Content-Type"] == "application/problem+json"
        assert (headers["Cache-Control"], headers["Content-Length"]) == ("no-store", str(len(answer.body)))
        assert told.events == []

    @EVERY_WAY
    def test_without_keys(self, receive: Receive, told: Told, caplog: pytest.LogCaptureFixture) -> None:
        issuer, time = Issuer(), Time()
        receiver = WebhookReceiver(guard_of(issuer, time), told.plain)
        issuer.status = 500
        answer = receive(receiver, body())
        assert (answer.status, problem_of(answer)["error"]) == (503, "keys_unavailable")
        assert 1 <= int(dict(answer.headers)["Retry-After"]) <= 30
        with caplog.at_level(logging.INFO, "kinde_guard"):
            receive(receiver, body())  # strangers may send as many as they like
        said = [record.levelname for record in caplog.records if "has to be sent again" in record.getMessage()]
        assert said == ["WARNING", "INFO"]
        issuer.status = 200
        time.passes(60)
        assert receive(receiver, body()).status == 200
        assert told.types == ["user.updated"]


class TestOnce:
    @EVERY_WAY
    def test_for_each_event_id(self, receiver: WebhookReceiver, told: Told, receive: Receive) -> None:
        for changes in ({}, {"timestamp": EVENT["timestamp"], "x": 1}, {"event_id": "event_2"}, {}):
            assert receive(receiver, body(changes)).status == 200
        assert [event.id for event in told.events] == [EVENT["event_id"], "event_2"]

    @EVERY_WAY
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_failure_is_no_success(
        self, guard: Guard, told: Told, receive: Receive, kind: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        receiver = WebhookReceiver(guard, kind(told))
        told.failing = [OSError("the database is away")]
        answer = receive(receiver, body())
        assert (answer.status, problem_of(answer)["error"]) == (503, "not_handled")
        assert dict(answer.headers)["Retry-After"] == "5"
        assert b"database" not in answer.body
        assert "'user.updated' could not be handled" in caplog.text
        assert "the database is away" in caplog.text
        assert receive(receiver, body()).status == 200
        assert len(told.events) == 2

    @EVERY_WAY
    def test_what_is_out_of_reach_is_no_traceback(
        self, receiver: WebhookReceiver, told: Told, receive: Receive, caplog: pytest.LogCaptureFixture
    ) -> None:
        told.failing = [KeysUnavailable(17)]
        answer = receive(receiver, body())
        assert (answer.status, dict(answer.headers)["Retry-After"]) == (503, "17")
        assert caplog.records[-1].levelno == logging.WARNING
        assert "(keys_unavailable)" in caplog.text
        assert "Traceback" not in caplog.text

    def test_what_ends_the_process_leaves_no_turn_behind(self, receiver: WebhookReceiver, told: Told) -> None:
        told.failing = [SystemExit()]
        with pytest.raises(SystemExit):
            in_thread(receiver, body())
        assert in_thread(receiver, body()).status == 200

    def test_while_it_is_being_handled(self, guard: Guard) -> None:
        begun, go_on = threading.Event(), threading.Event()
        answers: list[WebhookAnswer] = []

        def slow(event: WebhookEvent) -> None:
            begun.set()
            go_on.wait()

        receiver = WebhookReceiver(guard, slow)
        first = in_a_thread(lambda: answers.append(in_thread(receiver, body())))
        begun.wait()
        for receive in (in_thread, in_asyncio, in_trio):
            answer = receive(receiver, body())
            assert (answer.status, problem_of(answer)["error"]) == (503, "being_handled")
            assert dict(answer.headers)["Retry-After"] == "1"
        go_on.set()
        first.join()
        assert [answer.status for answer in answers] == [200]
        assert in_thread(receiver, body()).status == 200

    def test_more_at_once_than_there_may_be(self, guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
        """Nobody waits, and revocations do not go without: each is told of first."""
        revocations = kinde_guard.revocation.Revocations.in_memory().bind([ISSUER])
        guard.revocations = revocations
        begun, go_on = threading.Semaphore(0), threading.Event()

        def on_event(event: WebhookEvent) -> None:
            begun.release()
            go_on.wait(LONG)

        receiver = WebhookReceiver(guard, on_event)
        threads = [
            in_a_thread(lambda number=number: in_thread(receiver, body({"event_id": f"e{number}"})))  # type: ignore[misc]
            for number in range(MOST)
        ]
        for _ in threads:
            assert begun.acquire(timeout=LONG)
        deleted = body({"event_id": "deleted", "type": "user.deleted", "data": {"user": {"id": "kp_1"}}})
        for receive in (in_thread, in_asyncio, in_trio):
            answer = receive(receiver, deleted)
            assert (answer.status, problem_of(answer)["error"]) == (503, "too_many")
        assert "kp_1" in [entry.value for entry in revocations.entries()]
        assert "more have to be sent again" in caplog.text
        go_on.set()
        for thread in threads:
            thread.join(LONG)
        assert in_asyncio(receiver, deleted).status == 200

    def test_threads_that_race(self, receiver: WebhookReceiver, told: Told) -> None:
        statuses: list[int] = []
        data = [body({"event_id": f"event_{number}"}) for number in range(20)]

        def send() -> None:
            statuses.extend(in_thread(receiver, each).status for each in data)

        threads = [in_a_thread(send) for _ in range(8)]
        for thread in threads:
            thread.join()
        assert len(told.events) == 20
        assert set(statuses) <= {200, 503}

    def test_a_cancelled_request_leaves_no_turn_behind(self, guard: Guard, told: Told) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def slow(event: WebhookEvent) -> None:
            begun.set()
            go_on.wait()
            told.plain(event)

        async def cancelled(receiver: WebhookReceiver) -> None:
            task = asyncio.ensure_future(receiver.areceive("POST", JWT, body()))
            await asyncio.to_thread(begun.wait)
            try:
                task.cancel()
                await asyncio.sleep(0)
                assert not task.done()  # the thread goes on: nobody else is told meanwhile
                assert (await receiver.areceive("POST", JWT, body())).status == 503
            finally:
                go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await receiver.areceive("POST", JWT, body())).status == 200

        asyncio.run(cancelled(WebhookReceiver(guard, slow)))
        assert len(told.events) == 2

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_a_forked_child_knows_what_is_done_and_begins_anew_what_is_not(self) -> None:
        ledger = ProcessLedger()
        ledger.begin("done")
        ledger.finish("done")
        ledger.begin("busy")
        child = fork()
        if child == 0:
            os._exit([ledger.begin("done"), ledger.begin("busy")] != ["done", "mine"])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert ledger.begin("busy") == "busy"
        ledger.renew()
        assert ledger.begin("busy") == "mine"

    def test_what_is_remembered_is_bounded(self) -> None:
        ledger = ProcessLedger()
        for number in range(MOST_KEPT + 10):
            ledger.begin(str(number))
            ledger.finish(str(number))
        assert len(ledger._kept) == MOST_KEPT
        assert ledger.begin(str(MOST_KEPT)) == "done"


class Book:
    """A ledger that workers share; it is asked by threads or by loops, and may be away."""

    def __init__(self) -> None:
        self.states: dict[str, Turn] = {}
        self.asked: list[str] = []
        self.away: set[str] = set()

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what.removeprefix("a") in self.away:
            raise ConnectionError(f"{what}: Redis is away")

    def begin(self, key: str) -> Turn:
        self._ask("begin")
        return self._begin(key)

    def _begin(self, key: str) -> Turn:
        found = self.states.get(key, "mine")
        self.states.setdefault(key, "busy")
        return found

    def finish(self, key: str) -> None:
        self._ask("finish")
        self.states[key] = "done"

    def give_up(self, key: str) -> None:
        self._ask("give_up")
        del self.states[key]

    async def abegin(self, key: str) -> Turn:
        self._ask("abegin")
        return self._begin(key)

    async def afinish(self, key: str) -> None:
        self._ask("afinish")
        self.states[key] = "done"

    async def agive_up(self, key: str) -> None:
        self._ask("agive_up")
        del self.states[key]


class TestFleet:
    @EVERY_WAY
    def test_once_for_all_that_share_a_ledger(self, told: Told, receive: Receive) -> None:
        book = Book()
        workers = [WebhookReceiver(guard_of(Issuer()), told.plain, ledger=book) for _ in range(3)]
        assert [receive(worker, body()).status for worker in workers] == [200, 200, 200]
        assert len(told.events) == 1
        own = {"begin", "finish"} if receive is in_thread else {"abegin", "afinish"}
        assert set(book.asked) == own

    @EVERY_WAY
    def test_another_worker_is_at_it(self, told: Told, receive: Receive) -> None:
        book = Book()
        receiver = WebhookReceiver(guard_of(Issuer()), told.plain, ledger=book)
        told.failing = [OSError()]
        receive(receiver, body())
        assert book.states == {}
        receive(receiver, body())
        (key,) = book.states
        book.states[key] = "busy"
        assert receive(receiver, body()).status == 503
        assert len(told.events) == 2

    @EVERY_WAY
    @pytest.mark.parametrize("away", ["begin", "finish", "give_up"])
    def test_a_ledger_that_is_away(self, told: Told, receive: Receive, away: str) -> None:
        book = Book()
        book.away = {away}
        if away == "give_up":
            told.failing = [OSError()]
        assert receive(WebhookReceiver(guard_of(Issuer()), told.plain, ledger=book), body()).status == 503

    def test_each_api_and_each_function_is_told_of_all(self, told: Told) -> None:
        """One Redis may serve several APIs: none of them takes another's events away."""
        book = Book()
        apis = [guard_of(Issuer()), guard_of(Issuer(), audience="https://another.acme.com")]
        functions: list[OnEvent] = [told.plain, told.coroutine, functools.partial(told.plain)]
        receivers = [WebhookReceiver(guard, function, ledger=book) for guard in apis for function in functions]
        assert {in_thread(receiver, body()).status for receiver in receivers} == {200}
        assert len(told.events) == len(book.states) == 6

    def test_keys_say_nothing_of_anybody(self, told: Told) -> None:
        book = Book()
        in_thread(WebhookReceiver(guard_of(Issuer()), told.plain, ledger=book), body())
        (key,) = book.states
        assert len(key) == 64
        assert set(key) <= set("0123456789abcdef")


class TestSettings:
    @pytest.mark.parametrize(("on_event", "words"), [
        ("tell", "on_event is a function"), (1, "on_event is a function"),
        (lambda: None, "called with the event and nothing else"),
        (lambda event, more: None, "called with the event and nothing else"),
        (lambda *, event: None, "called with the event and nothing else"),
    ], ids=["text", "number", "none", "two", "by name"])  # fmt: skip
    def test_what_cannot_be_called(self, guard: Guard, on_event: Any, words: str) -> None:
        with pytest.raises(ConfigurationError, match=words):
            WebhookReceiver(guard, on_event)

    def test_what_would_do_nothing(self, guard: Guard) -> None:
        def generator(event: WebhookEvent) -> Iterator[int]:
            yield 1

        async def async_generator(event: WebhookEvent) -> Any:
            yield 1

        for on_event in (generator, async_generator):
            with pytest.raises(ConfigurationError, match="yield"):
                WebhookReceiver(guard, on_event)

    @pytest.mark.parametrize("on_event", [lambda event, more=1: None, lambda *events: None, print, max], ids="abcd")
    def test_what_can_be_called(self, guard: Guard, on_event: Any) -> None:
        WebhookReceiver(guard, on_event)


class TestObserver:
    @EVERY_WAY
    def test_it_is_told_of_each_answer(self, told: Told, receive: Receive) -> None:
        seen: list[Event] = []

        class Noting:
            def observe(self, event: Event) -> None:
                seen.append(event)

        issuer = Issuer()
        receiver = WebhookReceiver(guard_of(issuer, observer=Noting()), told.plain)
        told.failing = [OSError()]
        for data in (body(), body(), body(), b"x", body(key=rsa_key("another"))):
            receive(receiver, data)
        receive(receiver, b"", {}, "GET")
        assert [event for event in seen if isinstance(event, WebhookAnswered)] == [
            WebhookAnswered("user.updated", "not_handled"),
            WebhookAnswered("user.updated", ""),
            WebhookAnswered("user.updated", ""),
            WebhookAnswered("", "malformed"),
            WebhookAnswered("", "bad_signature"),
        ]


class TestLog:
    def test_what_is_refused(self, receiver: WebhookReceiver, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "kinde_guard")
        data = body(key=rsa_key("another"))
        in_thread(receiver, body())
        in_thread(receiver, data)
        (record,) = [record for record in caplog.records if record.getMessage().startswith("refused")]
        assert record.levelno == logging.INFO
        assert record.getMessage().startswith("refused (bad_signature) a webhook: ")
        assert vars(record)["reason"] == "bad_signature"
        assert data.decode()[:40] not in caplog.text

    def test_the_first_of_all_is_told_so_that_everybody_sees_it(
        self, receiver: WebhookReceiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Unless one has been taken: that the clock or the tenant is wrong should be seen before Kinde gives up."""
        caplog.set_level(logging.INFO, "kinde_guard")
        for _ in range(3):
            in_thread(receiver, body({"timestamp": "2020-01-01T00:00:00Z"}))
        assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.INFO, logging.INFO]

    def test_what_is_handled(self, receiver: WebhookReceiver, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "kinde_guard")
        in_thread(receiver, body({"type": "a\nb"}))
        record = caplog.records[-1]
        assert record.getMessage() == r"the event 'a\nb' is handled"
        assert "ada@example.com" not in caplog.text


class Revocations:
    """What a guard's revocations are to a receiver."""

    def __init__(self) -> None:
        self.applied: list[tuple[str, str]] = []
        self.failing = False
        self.ledger: Book | None = None

    def apply(self, event: WebhookEvent) -> None:
        self._apply("apply", event)

    async def aapply(self, event: WebhookEvent) -> None:
        self._apply("aapply", event)

    def _apply(self, how: str, event: WebhookEvent) -> None:
        if self.failing:
            raise ConnectionError("Redis is away")
        self.applied.append((how, event.type))


class TestRevocations:
    @pytest.fixture
    def revocations(self, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> Revocations:
        found = Revocations()
        monkeypatch.setattr(guard, "revocations", found, raising=False)
        return found

    @EVERY_WAY
    def test_they_are_told_each_time(
        self, guard: Guard, revocations: Revocations, told: Told, receive: Receive
    ) -> None:
        receiver = WebhookReceiver(guard, told.plain)
        assert [receive(receiver, body()).status for _ in range(2)] == [200, 200]
        how = "apply" if receive is in_thread else "aapply"
        assert revocations.applied == [(how, "user.updated")] * 2
        assert len(told.events) == 1

    @EVERY_WAY
    def test_they_are_told_first(self, guard: Guard, revocations: Revocations, told: Told, receive: Receive) -> None:
        receiver = WebhookReceiver(guard, told.plain)
        revocations.failing = True
        assert receive(receiver, body()).status == 503
        assert told.events == []
        revocations.failing, told.failing = False, [OSError()]
        assert receive(receiver, body()).status == 503
        assert len(revocations.applied) == 1

    @EVERY_WAY
    def test_their_ledger_is_the_fleets(
        self, guard: Guard, revocations: Revocations, told: Told, receive: Receive
    ) -> None:
        revocations.ledger = Book()
        for _ in range(2):
            assert receive(WebhookReceiver(guard, told.plain), body()).status == 200
        assert len(told.events) == 1
        given = Book()
        assert receive(WebhookReceiver(guard, told.plain, ledger=given), body()).status == 200
        assert len(given.states) == 1
        assert len(told.events) == 2

    @EVERY_WAY
    def test_what_is_no_event_ends_nothing(self, guard: Guard, revocations: Revocations, receive: Receive) -> None:
        assert receive(WebhookReceiver(guard), body(key=rsa_key("another"))).status == 400
        assert revocations.applied == []
