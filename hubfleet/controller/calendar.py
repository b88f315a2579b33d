"""The classes of the next days: from the settings, and from the text of an ICS calendar. Pure.

A calendar is advice: whatever is wrong in it costs one event and is reported, never the others.
"""

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import recurring_ical_events
from icalendar import Calendar

from hubfleet.controller.model import Window
from hubfleet.settings_autoscaler import Classes

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

MOST_SEATS = 10_000
"""More seats than that are a slip of the pen."""

SEATS = re.compile(r"(?im)^\s*seats\s*[:=]\s*(\d+)\s*$")
GROUP = re.compile(r"(?im)^\s*prestart\s*[:=]\s*(\S.*?)\s*$")

BROKEN = (ValueError, KeyError, TypeError, AttributeError, OverflowError, IndexError)
"""What icalendar and recurring-ical-events raise on text that is no calendar."""


@dataclass(frozen=True)
class Parsed:
    """The classes that a calendar holds, and what was wrong with the rest of it."""

    windows: tuple[Window, ...]
    problems: tuple[str, ...] = ()


class NotACalendarError(ValueError):
    """The text is no ICS calendar at all."""


def scheduled(classes: Classes, begin: float, end: float) -> tuple[Window, ...]:
    """Return the classes of the settings that touch the time from `begin` to `end`."""
    zone = ZoneInfo(classes.timezone)
    first_day = datetime.fromtimestamp(begin, zone).date() - timedelta(days=1)
    found = []
    for one in classes.schedule:
        day = max(first_day, date.fromisoformat(one.first))
        last = min(
            datetime.fromtimestamp(end, zone).date(),
            date.fromisoformat(one.last),
        )
        while day <= last:
            if not one.days or DAYS[day.weekday()] in one.days:
                start, stop = (
                    datetime.combine(day, time.fromisoformat(text), zone).timestamp()
                    for text in (one.start, one.end)
                )
                found.append(Window(one.name, start, stop, one.seats, one.prestart))
            day += timedelta(days=1)
    return _within(found, begin, end)


def from_ics(text: str, classes: Classes, begin: float, end: float) -> Parsed:
    """Return the classes of an ICS text that touch the time from `begin` to `end`.

    An event's description names its students, `seats: 120`, and may name a group, `prestart: chem`;
    where it names no number, `ics_seats` of the settings is taken, and 0 means that it is no class.
    Times without a zone, or with one that nobody knows, are in the time zone of the settings.
    Raises NotACalendarError where the text is none.
    """
    try:
        calendar = Calendar.from_ical(text)
    except BROKEN as error:
        raise NotACalendarError(f"no ICS calendar: {error}") from error
    if calendar.name != "VCALENDAR":
        raise NotACalendarError("no ICS calendar: it does not begin with VCALENDAR")
    zone = ZoneInfo(classes.timezone)
    span = [datetime.fromtimestamp(moment, UTC) for moment in (begin, end)]
    problems: list[str] = []
    windows = []
    for event in _occurrences(calendar, span[0], span[1], problems):
        name = str(event.get("SUMMARY", "")).strip() or "class"
        try:
            window = _window(event, name, classes.ics_seats, zone)
        except BROKEN as error:
            problems.append(f"{name}: {error}")
            continue
        if window:
            windows.append(window)
    return Parsed(_within(windows, begin, end), tuple(dict.fromkeys(problems)))


def combined(*sources: Iterable[Window]) -> tuple[Window, ...]:
    """Return all classes by start; one that two sources name counts once, as the larger.

    The same class has the same name and the same start. Different ones add up, also at one time.
    """
    merged: dict[tuple[str, float], Window] = {}
    for window in (window for source in sources for window in source):
        key = (window.name.casefold(), window.start)
        known = merged.get(key)
        if known is None:
            merged[key] = window
            continue
        merged[key] = Window(
            known.name,
            known.start,
            max(known.end, window.end),
            max(known.seats, window.seats),
            known.group or window.group,
        )
    return tuple(sorted(merged.values(), key=lambda w: (w.start, w.name)))


def _occurrences(
    calendar: Any, begin: datetime, end: datetime, problems: list[str]
) -> Iterator[Any]:
    """Yield the events of the time, recurrences expanded, moved ones where they were moved to."""
    # One event without a start would hide all others, and one that ends before it begins would be
    # turned round.
    for event in calendar.walk("VEVENT"):
        name = str(event.get("SUMMARY", "")).strip() or "class"
        try:
            problem = _fault(event)
        except BROKEN as error:
            problem = str(error)
        if problem:
            problems.append(f"{name}: {problem}")
            calendar.subcomponents.remove(event)
    try:
        yield from recurring_ical_events.of(calendar, skip_bad_series=True).between(begin, end)
    except BROKEN as error:
        problems.append(f"events: {error}")


def _fault(event: Any) -> str:
    """Say why an event cannot be expanded, "" where it can."""
    if "DTSTART" not in event:
        return "it has no start"
    start, end = event["DTSTART"].dt, event["DTEND"].dt if "DTEND" in event else None
    if end is not None and type(start) is not type(end):
        return "its start and its end are not of one kind"
    naive = [isinstance(moment, datetime) and moment.tzinfo is None for moment in (start, end)]
    if end is not None and naive[0] == naive[1] and end < start:
        return "it ends before it begins"
    return ""


def _window(event: Any, name: str, default_seats: int, zone: tzinfo) -> Window | None:
    """Return an event as a class, None where it is none. Raises ValueError that says why."""
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
        return None
    text = _plain(str(event.get("DESCRIPTION", "")))
    seats = SEATS.search(text)
    count = int(seats[1]) if seats else default_seats
    group = GROUP.search(text)
    if count == 0 and group is None:
        return None
    if count > MOST_SEATS:
        raise ValueError(f"{count} seats are more than {MOST_SEATS}")
    start, end = event["DTSTART"].dt, event["DTEND"].dt
    if not isinstance(start, datetime) or not isinstance(end, datetime):
        raise ValueError("an event of whole days has no time at which students come")
    first, last = (_moment(moment, zone) for moment in (start, end))
    if last <= first:
        raise ValueError("it has no duration")
    return Window(name, first, last, count, group[1] if group else "")


def _moment(moment: datetime, zone: tzinfo) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()


def _plain(text: str) -> str:
    """Return a description as lines: web calendars write HTML."""
    return html.unescape(re.sub(r"<[^>]*>", "\n", text))


def _within(windows: Iterable[Window], begin: float, end: float) -> tuple[Window, ...]:
    touching = [w for w in windows if w.end > begin and w.start < end]
    return tuple(sorted(touching, key=lambda w: (w.start, w.name)))
