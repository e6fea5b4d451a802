"""A loop that times its steps, and a watchdog that tells where the long ones stand.

A step is what an event loop runs without a pause: everybody else waits for its end. It is measured in
processor time of the loop's thread, garbage collection apart, as a core without other work would take it:
neighbours that share the core make no step look long. Steps of the tests themselves do not count.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

# The 50 ms that a step may take at most, and what a virtual machine that is held up for a moment adds.
LIMIT_SECONDS = 0.08
# The stack is taken when a step has used so much of the limit, by a thread that looks so often.
_SAMPLE_SHARE = 0.8
_PAUSE_SECONDS = 0.005
# What `_work` takes on a core of its own at 2.4 GHz.
_WORK_SECONDS = 0.0019
_ROOT = str(Path(__file__).parents[2])


def slowness() -> float:
    """Returns how many times as long as on a core of its own work takes now, at least 1."""
    return max(1.0, min(_work() for _ in range(3)) / _WORK_SECONDS)


def _work() -> float:
    begun, total = time.thread_time(), 0
    for number in range(20_000):
        total += number
    return time.thread_time() - begun


@dataclass(frozen=True, slots=True)
class LongStep:
    """A step that used more than the limit.

    Attributes:
        seconds: of processor time, on a core of its own.
        stack: where the thread stood near the limit, the innermost call last.
    """

    seconds: float
    stack: str

    def __str__(self) -> str:
        return f"a step of {self.seconds * 1000:.0f} ms on the event loop:\n{self.stack}"


@dataclass(slots=True)
class Watchdog:
    """Times the steps of one loop.

    Attributes:
        long_steps: of the services, in their order.
        longest_seconds: of any step of the services that was sampled.
    """

    limit_seconds: float = LIMIT_SECONDS
    long_steps: list[LongStep] = field(default_factory=list)
    _number: int = 0
    _begun: float | None = None
    _clock: int | None = None
    _thread: int = 0
    _collecting: float = 0.0
    _collection_begun: float = 0.0
    _sample: tuple[int, traceback.StackSummary] | None = None

    def run_step(self, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """Runs and times a callback of the loop."""
        if self._clock is None:
            self._start()
        self._number += 1
        collecting = self._collecting
        self._begun = begun = time.thread_time()
        try:
            callback(*arguments)
        finally:
            self._begun = None
            seconds = time.thread_time() - begun - (self._collecting - collecting)
            if (
                seconds > self.limit_seconds
                and (seconds := seconds / slowness()) > self.limit_seconds
            ):
                self._note(seconds)

    def _start(self) -> None:
        """Begins to watch the thread that the loop runs in."""
        self._thread = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._thread)
        gc.callbacks.append(self._time_collection)
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def _time_collection(self, phase: str, _details: object) -> None:
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._collection_begun = time.thread_time()
        else:
            self._collecting += time.thread_time() - self._collection_begun

    def _watch(self) -> None:
        """Takes the stack of each step that comes near the limit, once."""
        assert self._clock is not None
        while True:
            time.sleep(_PAUSE_SECONDS)
            number, begun = self._number, self._begun
            if begun is None or (self._sample is not None and self._sample[0] == number):
                continue
            if time.clock_gettime(self._clock) - begun < self.limit_seconds * _SAMPLE_SHARE:
                continue
            stack = self._take_stack()
            # A function that returns meanwhile takes its callers out of sight: then once more.
            if number == self._number and any(each.name == "run_step" for each in stack):
                self._sample = number, stack

    def _take_stack(self) -> traceback.StackSummary:
        """Returns where the thread stands. A frame kept here would keep all that its step holds."""
        return traceback.extract_stack(sys._current_frames()[self._thread])

    def _note(self, seconds: float) -> None:
        if self._sample is None or self._sample[0] != self._number:
            return
        # The frames of the step itself stand above that of `run_step`.
        stack = self._sample[1]
        own = max(i for i, frame in enumerate(stack) if frame.name == "run_step")
        inner = stack[own + 1 :]
        files = [frame.filename.removeprefix(_ROOT) for frame in inner]
        is_ours = any(name.startswith(("/services/", "/shared/")) for name in files)
        is_of_a_test = any(name.startswith(("/tests/", "/benchmarks/")) for name in files)
        if is_ours and not is_of_a_test:
            self.long_steps.append(LongStep(seconds, "".join(traceback.format_list(inner))))


class WatchedLoop(uvloop.Loop):
    """A loop of the kind that the services run on, each of whose steps is timed."""

    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__()
        self._watchdog = watchdog

    def call_soon(  # type: ignore[override]  # its type binds the arguments to the callback
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Runs a callback in the next round of the loop, and times it."""
        return super().call_soon(self._watchdog.run_step, callback, args, context=context)
