"""The sections of the attribute tree that the autoscaler reads: its rules, and the classes.

Values live in roles/*.json and environments/*.json; the models hold none.
"""

import re
from datetime import date, time
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from hubfleet.settings_types import Port, Seconds, Section

Whole = Annotated[int, Field(ge=0)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


class Headroom(Section):
    """Seats kept free for students whom no calendar announces."""

    seats: Whole = Field(description="Never fewer free seats while anybody is about.")
    z: Annotated[float, Field(ge=0)] = Field(
        description="Standard deviations of the arrivals within a time to ready that are covered."
    )
    rate_window_s: Seconds = Field(description="Arrivals so far back make the arrival rate.")
    quiet_s: Seconds = Field(
        description="With nobody there and no arrival for so long, no seat is kept free."
    )


class Ready(Section):
    """Time to ready: from the order of a worker until it takes students."""

    prior_s: Seconds = Field(description="Assumed until enough workers were measured.")
    margin_s: Whole = Field(description="Added to it where a class is awaited.")
    boot_timeout_s: Seconds = Field(description="A worker that took longer is replaced.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.boot_timeout_s <= self.prior_s:
            raise ValueError(
                f"boot_timeout_s ({self.boot_timeout_s}) is not more than prior_s ({self.prior_s})"
            )
        return self


class ClassTimes(Section):
    """How students come to a class, and when their servers are started for them."""

    early_s: Whole = Field(description="All seats are ready so long before the start.")
    first_s: Whole = Field(description="The first seats are ready so long before the start.")
    late_s: Whole = Field(description="Seats are kept for so long after the start.")
    extra: Annotated[float, Field(ge=0, le=1)] = Field(
        description="Share of seats beyond the announced ones, for guests and second servers."
    )
    prestart_s: Whole = Field(description="Servers of a prestart group start so long before.")
    prestart_per_minute: Annotated[int, Field(ge=1)] = Field(
        description="Servers started ahead in one minute, at most."
    )
    release_s: Whole = Field(
        description="Servers started ahead that nobody opened stop so long after the start."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.first_s < self.early_s:
            raise ValueError(f"first_s ({self.first_s}) is less than early_s ({self.early_s})")
        return self


class Pools(Section):
    """What workers are made of, and what happens where there is none left of it."""

    order: tuple[str, ...] = Field(
        description="Names of the back end's pools, the preferred one first."
    )
    retry_s: Seconds = Field(description="A pool without capacity is tried again after so long.")
    retry_most_s: Seconds = Field(description="Longest wait; it doubles with each failure.")

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if not self.order or len(set(self.order)) < len(self.order):
            raise ValueError("order: expected at least one pool, each once")
        if self.retry_most_s < self.retry_s:
            raise ValueError(
                f"retry_most_s ({self.retry_most_s}) is less than retry_s ({self.retry_s})"
            )
        return self


class Autoscaler(Section):
    """When workers are started and ended; docs/explanation/autoscaling.md says how."""

    headroom: Headroom
    ready: Ready
    classes: ClassTimes
    pools: Pools
    hold_s: Seconds = Field(description="Workers must be too many for so long to be paused.")
    stale_s: Seconds = Field(description="Older observations are no ground to end anything.")
    metrics_port: Port = Field(description="Prometheus metrics of the controller, on the loopback.")
    budget_node_hours: Whole = Field(
        description="Hours of all workers in one day (UTC) after which none is added; 0: no limit."
    )


class ClassTime(Section):
    """One class, weekly or once; all keys must be there."""

    name: str = Field(description="What it is called; each name once.")
    seats: Annotated[int, Field(ge=1, le=10000)] = Field(description="Students expected.")
    days: tuple[Day, ...] = Field(description="Days of the week; empty: each day.")
    first: str = Field(description="First date, such as 2027-02-01.")
    last: str = Field(description="Last date, inclusive.")
    start: str = Field(description="Local time of the start, such as 10:00.")
    end: str = Field(description="Local time of the end, on the same day.")
    prestart: str = Field(
        description="JupyterHub group whose servers start before the class; empty: none."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.name.strip():
            raise ValueError("name is empty")
        dates, times = [_date("first", self.first), _date("last", self.last)], []
        for key in ("start", "end"):
            text = getattr(self, key)
            if not CLOCK.fullmatch(text):
                raise ValueError(f"{key}: {text!r} is no time such as 10:00")
            times.append(time.fromisoformat(text))
        if dates[1] < dates[0]:
            raise ValueError(f"last ({self.last}) is before first ({self.first})")
        if times[1] <= times[0]:
            raise ValueError(f"end ({self.end}) is not after start ({self.start})")
        if len(set(self.days)) < len(self.days):
            raise ValueError("days: a day is there twice")
        return self


class Classes(Section):
    """The calendar: classes by hand, and from an ICS file or address."""

    timezone: str = Field(description="Time zone of all times that name none, such as UTC.")
    schedule: tuple[ClassTime, ...] = Field(description="Classes by hand.")
    ics: str = Field(description="Path or https address of a calendar; empty: none.")
    ics_seats: Whole = Field(
        description="Seats of an event that names none; 0: such an event is no class."
    )
    ics_refresh_s: Seconds = Field(description="The calendar is read so often.")

    @model_validator(mode="after")
    def _valid(self) -> Self:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"timezone: there is no time zone {self.timezone!r}") from error
        if self.ics and not self.ics.startswith(("https://", "/")):
            raise ValueError("ics: expected an https address or an absolute path")
        seen: dict[str, ClassTime] = {}
        for one in self.schedule:
            if one.name in seen:
                raise ValueError(f"schedule: two classes are named {one.name!r}")
            seen[one.name] = one
        return self


def _date(key: str, text: str) -> date:
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{key}: {text!r} is no date such as 2027-02-01") from None
