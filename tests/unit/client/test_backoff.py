"""How long a client waits before it repeats a call, and how often it does."""

import logging
import threading
from types import SimpleNamespace

import pytest
from dits.common.v1.error_reason_pb2 import (
    ERROR_REASON_CONTENTION,
    ERROR_REASON_SERVER_BUSY,
    ErrorReason,
)

from dits_client.errors import RemoteError
from dits_client.progress import Notices
from dits_client.server import backoff as backoff_module
from dits_client.server.backoff import (
    ATTEMPTS,
    AWAY_SECONDS,
    BUSY_ATTEMPTS,
    LASTING_SECONDS,
    LONGEST_AWAY_PAUSE,
    LONGEST_PAUSE,
    Backoff,
    end_waits_at,
)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, which take no time. Other threads of the process go on sleeping."""
    made: list[float] = []
    clock = SimpleNamespace(sleep=made.append, monotonic=lambda: sum(made))
    monkeypatch.setattr(backoff_module, "time", clock)
    return made


def fail(reason: ErrorReason.ValueType | None, seconds: float | None) -> RemoteError:
    return RemoteError("busy", code="RESOURCE_EXHAUSTED", reason=reason, retry_after=seconds)


def away() -> RemoteError:
    return RemoteError("away", code="UNAVAILABLE", retry_after=0.1)


def test_a_busy_server_is_asked_again_when_it_says_so_and_not_without_end(
    pauses: list[float],
) -> None:
    backoff = Backoff(ATTEMPTS)
    for _ in range(BUSY_ATTEMPTS - 1):
        backoff.wait(fail(ERROR_REASON_SERVER_BUSY, 20.0))
    assert len(pauses) == BUSY_ATTEMPTS - 1
    assert all(20.0 <= pause <= 26.0 for pause in pauses)
    with pytest.raises(RemoteError, match="busy"):
        backoff.wait(fail(ERROR_REASON_SERVER_BUSY, 20.0))
    with pytest.raises(RemoteError, match="busy"):
        Backoff(ATTEMPTS).wait(fail(ERROR_REASON_SERVER_BUSY, 31.0))


def test_other_failures_are_given_up_earlier(pauses: list[float]) -> None:
    backoff = Backoff(ATTEMPTS)
    for _ in range(ATTEMPTS - 1):
        backoff.wait(fail(ERROR_REASON_CONTENTION, 0.05))
    with pytest.raises(RemoteError):
        backoff.wait(fail(ERROR_REASON_CONTENTION, 0.05))
    assert len(pauses) == ATTEMPTS - 1
    backoff.reset()
    backoff.wait(fail(None, 0.1))
    for error in (fail(ERROR_REASON_CONTENTION, None), fail(None, 11.0)):
        with pytest.raises(RemoteError):
            Backoff(ATTEMPTS).wait(error)


def test_pauses_stay_short_however_often_a_call_fails(pauses: list[float]) -> None:
    backoff = Backoff(1_000_000)
    for _ in range(2000):
        backoff.wait(fail(ERROR_REASON_CONTENTION, 0.1))
    assert max(pauses) <= LONGEST_PAUSE


def test_a_server_that_was_there_is_waited_for_as_long_as_a_restart_takes(
    pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    backoff = Backoff(ATTEMPTS)
    while sum(pauses) < AWAY_SECONDS:
        backoff.wait(away())
    with pytest.raises(RemoteError):
        backoff.wait(away())
    assert max(pauses) <= LONGEST_AWAY_PAUSE
    assert [record.getMessage() for record in caplog.records] == ["waiting for the server: away"]


def test_a_server_that_is_away_again_after_a_long_attempt_is_waited_for_again_but_not_for_ever(
    pauses: list[float],
) -> None:
    backoff = Backoff(ATTEMPTS)
    for _ in range(ATTEMPTS):
        begun = sum(pauses)
        while sum(pauses) < begun + AWAY_SECONDS - LONGEST_AWAY_PAUSE:
            backoff.wait(away())
        pauses.append(LASTING_SECONDS + 1.0)
    with pytest.raises(RemoteError):
        backoff.wait(away())


def test_a_server_that_was_never_reached_is_not_waited_for(pauses: list[float]) -> None:
    backoff = Backoff(ATTEMPTS, patience=0.0)
    for _ in range(ATTEMPTS - 1):
        backoff.wait(away())
    with pytest.raises(RemoteError):
        backoff.wait(away())
    assert sum(pauses) < 3


def test_a_notice_is_shown_once_however_many_calls_wait(capsys: pytest.CaptureFixture[str]) -> None:
    notices = Notices()
    for number in range(3):
        notices.handle(logging.makeLogRecord({"msg": f"waiting {number}\x1b"}))
    assert capsys.readouterr().err == "dits: waiting 0\\x1b\n"


def test_the_pauses_of_a_thread_end_with_it() -> None:
    stop, ended = threading.Event(), list[RemoteError]()

    def work() -> None:
        end_waits_at(stop)
        for _ in range(2):
            try:
                Backoff(ATTEMPTS).wait(fail(ERROR_REASON_CONTENTION, LONGEST_PAUSE))
            except RemoteError as error:
                ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    stop.set()
    thread.join()
    assert len(ended) == 2
