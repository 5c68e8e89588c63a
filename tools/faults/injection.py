"""Carries the planned faults out while deliveries are posted, and counts them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from tools.faults.plan import CALM, Faults, Window
from tools.faults.proxy import FaultProxy
from tools.local_aws import Stack
from tools.stand_in import StandIn

SHORTEST_WINDOW_S: Final = 2.0
"""A small trial would else be past a fault before any call meets it."""
_LOOK_EVERY_S: Final = 0.05


class Injection:
    """From ``start`` to ``end``. ``progress`` says how much of the deliveries has been posted, 0 to 1."""

    def __init__(
        self,
        faults: Faults,
        progress: Callable[[], float],
        stack: Stack,
        proxy: FaultProxy,
        stand_in: StandIn,
        keys: Mapping[str, Any],
    ) -> None:
        self.killed: Counter[str] = Counter()
        self.strikes = 0
        self._faults = faults
        self._progress = progress
        self._stack = stack
        self._proxy = proxy
        self._stand_in = stand_in
        self._keys = keys
        self._requests_met = 0
        self._thread = threading.Thread(target=self._carry_out)
        self._stop = threading.Event()
        self._error: Exception | None = None

    def start(self) -> None:
        """Begin, with nothing wrong but what befalls OpenAI from the first request on."""
        self._stand_in.replace_faults(rule for _, rule in self._faults.openai)
        self._thread.start()

    def wait(self) -> None:
        """Wait until every planned fault has been carried out."""
        self._thread.join()

    def end(self) -> None:
        """Nothing is wrong from now on.

        Raises:
            Exception: whatever kept a fault from being carried out.
        """
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        self._requests_met = len(self._stand_in.requests())
        self._stand_in.replace_faults([])
        self._stand_in.switch(keys=self._keys)
        self._proxy.obey([])
        if self._error is not None:
            raise self._error

    def openai(self) -> Counter[str]:
        """What befell requests to OpenAI, by name, but for the answers to a wrong key or pixel."""
        met = Counter(name for name, _ in self._faults.openai[: self._requests_met])
        del met[CALM]
        return met

    def _carry_out(self) -> None:
        try:
            self._follow_the_plan()
        except Exception as error:
            self._error = error

    def _follow_the_plan(self) -> None:
        windows, strikes = list(self._faults.windows), list(self._faults.strikes)
        open_: list[tuple[Window, float]] = []
        while (windows or strikes or open_) and not self._stop.wait(_LOOK_EVERY_S):
            progress, now = self._progress(), time.monotonic()
            begun = [window for window in windows if window.begins <= progress]
            going_on = [
                (window, since)
                for window, since in open_
                if min(window.ends, 1.0) > progress or now - since < SHORTEST_WINDOW_S
            ]
            if begun or len(going_on) < len(open_):
                windows = windows[len(begun) :]
                open_ = going_on + [(window, now) for window in begun]
                self._set([window for window, _ in open_])
            while strikes and strikes[0].at <= progress:
                self.strikes += 1
                function = strikes.pop(0).function
                self.killed[function] += self._stack.kill(function)

    def _set(self, windows: list[Window]) -> None:
        self._proxy.obey(rule for window in windows for rule in window.rules)
        keys = [window.keys for window in windows if window.keys is not None]
        self._stand_in.switch(keys=keys[-1] if keys else self._keys)
