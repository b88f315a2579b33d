"""The classes that the controller knows: those of the settings, and those of the calendar."""

from collections.abc import Callable, Sequence
from pathlib import Path

from hubfleet.clients import calendar as source
from hubfleet.controller.calendar import combined, from_ics, scheduled
from hubfleet.controller.model import Window
from hubfleet.settings_autoscaler import Classes

BEHIND_S = 86400.0
AHEAD_S = 2 * 86400.0
"""Classes of this span around now are looked at."""


class ClassList:
    """Reads the calendar every `ics_refresh_s`; the last good copy lies in `kept`."""

    def __init__(self, classes: Classes, kept: Path, log: Callable[[str], None]) -> None:
        self._classes, self._kept, self._log = classes, kept, log
        self._read_at: float | None = None
        self._text = ""
        self._told = ""

    def windows(self, now: float) -> Sequence[Window]:
        """Return the classes around `now`, by their start."""
        begin, end = now - BEHIND_S, now + AHEAD_S
        named = scheduled(self._classes, begin, end)
        if not self._classes.ics:
            return named
        problems: tuple[str, ...] = ()
        if self._read_at is None or now - self._read_at >= self._classes.ics_refresh_s:
            self._read_at = now
            copy = source.refresh(
                self._classes.ics, self._kept, lambda t: from_ics(t, self._classes, begin, end)
            )
            self._text = copy.text
            problems = (copy.problem,) if copy.problem else ()
        if not self._text:
            self._tell(problems)
            return named
        parsed = from_ics(self._text, self._classes, begin, end)
        self._tell((*problems, *parsed.problems))
        return combined(named, parsed.windows)

    def _tell(self, problems: Sequence[str]) -> None:
        told = "; ".join(problems)
        if told and told != self._told:
            self._log(told)
        self._told = told or self._told
