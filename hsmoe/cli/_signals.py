"""Signals that ask a stream to end: it ends between two rows, never within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

__all__ = ["StopSignals", "Stopped"]

Result = TypeVar("Result")


class Stopped(BaseException):
    """A signal has asked the stream to end."""


class StopSignals:
    """While it is entered, signals raise :class:`Stopped` in a wait and are noted otherwise.

    So what is being done when a signal comes, learning a row or saving, is done to its end, however
    many signals come; and no wait goes on that nothing may ever end.
    """

    def __init__(self) -> None:
        self.received: int | None = None  # the first that came
        self._waiting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is not threading.main_thread():
            return self  # where Python allows no handlers
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            number = getattr(signal, name, None)
            # What was ignored from the start, as by nohup, stays ignored.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = number
        if self._waiting:
            self._waiting = False
            raise Stopped

    def wait_for(self, act: Callable[[], Result]) -> Result:
        """Return what ``act`` returns, which must change nothing, or raise Stopped.

        What a read had already taken is lost if a signal comes with it: nothing was done with it.
        """
        self._waiting = True
        try:
            if self.received is not None:  # before the wait began
                raise Stopped
            return act()
        finally:
            self._waiting = False

    @property
    def exit_code(self) -> int:
        """The code that shells give to a process that a signal ended."""
        return 128 + (self.received or 0)
