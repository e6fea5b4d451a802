"""The watchdog of the tests' loop: it tells long steps of the services, and no others."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Callable
from functools import partial
from types import CodeType

import pytest

from tests.support import watchdog
from tests.support.embedded_postgres import ROOT
from tests.support.watchdog import Watchdog, WatchedLoop

_SPIN = """
def spin_for(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
"""


def spinner(path: str) -> Callable[[float], None]:
    """A function that uses processor time, of a module of this path."""
    code: CodeType = compile(_SPIN, str(ROOT / path), "exec")
    names: dict[str, Callable[[float], None]] = {"time": time}  # type: ignore[dict-item]
    exec(code, names)  # noqa: S102
    return names["spin_for"]


def run(work: Callable[[], None], limit: float) -> Watchdog:
    """Runs the work as a step of a watched loop."""
    watchdog = Watchdog(limit)
    with asyncio.Runner(loop_factory=lambda: WatchedLoop(watchdog)) as runner:
        loop = runner.get_loop()
        loop.call_soon(work)
        loop.call_soon(loop.stop)
        loop.run_forever()
    return watchdog


def test_a_long_step_is_told_with_its_stack() -> None:
    spin_for = spinner("shared/example.py")
    (found,) = run(partial(spin_for, 0.5), 0.05).long_steps
    assert found.seconds > 0.05
    assert "shared/example.py" in str(found)
    assert "in spin_for" in str(found)


def test_what_a_long_step_held_is_free_after_it() -> None:
    class Held: ...

    spin_for = spinner("shared/example.py")
    left: list[weakref.ref[Held]] = []

    def work() -> None:
        held = Held()
        left.append(weakref.ref(held))
        spin_for(0.5)

    watched = run(work, 0.05)
    assert watched._sample is not None
    gc.collect()
    assert left[0]() is None


def test_short_steps_and_pauses_are_none() -> None:
    spin_for = spinner("services/example.py")
    assert run(partial(spin_for, 0.01), 0.05).long_steps == []
    assert run(partial(time.sleep, 0.1), 0.05).long_steps == []


def test_a_step_is_measured_by_what_work_takes_now(monkeypatch: pytest.MonkeyPatch) -> None:
    spin_for = spinner("services/example.py")
    monkeypatch.setattr(watchdog, "_WORK_SECONDS", watchdog._work() / 20)
    assert watchdog.slowness() > 2
    assert run(partial(spin_for, 0.1), 0.05).long_steps == []


def test_steps_of_the_tests_are_none() -> None:
    spin_for = spinner("tests/example.py")
    assert run(partial(spin_for, 0.1), 0.05).long_steps == []
