"""Classes of the settings and of ICS calendars, the broken and the unusual ones included."""

import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hubfleet.clients.calendar import Copy, fetch, refresh
from hubfleet.controller.calendar import NotACalendarError, combined, from_ics, scheduled
from hubfleet.controller.model import Window
from hubfleet.errors import CommandError, UsageError
from hubfleet.settings_autoscaler import Classes, ClassTime

ZONE = ZoneInfo("Europe/Berlin")
CHEM = ClassTime(
    name="chem",
    seats=120,
    days=("mon", "wed"),
    first="2027-03-01",
    last="2027-04-30",
    start="10:00",
    end="11:30",
    prestart="",
)


def at(text: str, zone: ZoneInfo = ZONE) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def classes(*schedule: ClassTime, ics_seats: int = 0) -> Classes:
    return Classes(
        timezone="Europe/Berlin", schedule=schedule, ics="", ics_seats=ics_seats, ics_refresh_s=60
    )


def ics(*lines: str) -> str:
    head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN"]
    return "\r\n".join([*head, *lines, "END:VCALENDAR", ""])


def event(*lines: str, uid: str = "one") -> list[str]:
    return ["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20270101T000000Z", *lines, "END:VEVENT"]


def parse(*lines: str, ics_seats: int = 0) -> list[Window]:
    found = from_ics(ics(*lines), classes(ics_seats=ics_seats), at("2027-03-01"), at("2027-03-31"))
    assert not found.problems
    return list(found.windows)


MONDAY = ["DTSTART;TZID=Europe/Berlin:20270301T100000", "DTEND;TZID=Europe/Berlin:20270301T113000"]
FIRST = Window("Chemistry", at("2027-03-01 10:00"), at("2027-03-01 11:30"), 120)


def test_a_weekly_class_stands_on_its_days_in_local_time() -> None:
    found = scheduled(classes(CHEM), at("2027-03-26"), at("2027-04-01"))
    # The clocks go forward on Sunday 28 March: Monday's class is at ten all the same.
    assert [w.start for w in found] == [at("2027-03-29 10:00"), at("2027-03-31 10:00")]
    assert {w.end - w.start for w in found} == {5400.0}


def test_first_and_last_day_belong_to_the_term() -> None:
    once = CHEM.model_copy(update={"first": "2027-03-02", "last": "2027-03-02", "days": ()})
    found = scheduled(classes(once), at("2027-02-01"), at("2027-05-01"))
    assert [w.start for w in found] == [at("2027-03-02 10:00")]


def test_a_class_that_has_begun_is_still_there() -> None:
    found = scheduled(classes(CHEM), at("2027-03-01 11:00"), at("2027-03-01 12:00"))
    assert [w.name for w in found] == ["chem"]


def test_an_event_names_seats_and_group_in_its_description() -> None:
    text = "DESCRIPTION:Room 3\\nSeats: 120\\nprestart: chem-101"
    assert parse(*event("SUMMARY:Chemistry", *MONDAY, text)) == [
        Window("Chemistry", FIRST.start, FIRST.end, 120, "chem-101")
    ]


def test_web_calendars_write_html() -> None:
    text = "DESCRIPTION:<b>Lab</b><br>seats: 120<br>bring&nbsp;notes"
    assert parse(*event("SUMMARY:Chemistry", *MONDAY, text)) == [FIRST]


def test_an_event_without_a_number_is_no_class_unless_the_settings_say_how_large() -> None:
    lines = event("SUMMARY:Staff meeting", *MONDAY)
    assert parse(*lines) == []
    assert [w.seats for w in parse(*lines, ics_seats=30)] == [30]


def test_weekly_moved_left_out_and_cancelled_dates() -> None:
    series = event(
        "SUMMARY:Chemistry", *MONDAY, "RRULE:FREQ=WEEKLY;COUNT=4", "DESCRIPTION:seats: 120",
        "EXDATE;TZID=Europe/Berlin:20270322T100000",
    )  # fmt: skip
    moved = event(
        "SUMMARY:Chemistry",
        "RECURRENCE-ID;TZID=Europe/Berlin:20270308T100000",
        "DTSTART;TZID=Europe/Berlin:20270309T140000",
        "DTEND;TZID=Europe/Berlin:20270309T153000",
        "DESCRIPTION:seats: 60",
    )
    cancelled = event(
        "SUMMARY:Chemistry",
        "RECURRENCE-ID;TZID=Europe/Berlin:20270315T100000",
        "DTSTART;TZID=Europe/Berlin:20270315T100000",
        "DTEND;TZID=Europe/Berlin:20270315T113000",
        "STATUS:CANCELLED",
        "DESCRIPTION:seats: 120",
    )
    found = parse(*series, *moved, *cancelled)
    assert [(w.start, w.seats) for w in found] == [
        (at("2027-03-01 10:00"), 120),
        (at("2027-03-09 14:00"), 60),
    ]


def test_a_cancelled_series_is_no_class() -> None:
    assert parse(*event("SUMMARY:x", *MONDAY, "STATUS:CANCELLED", "DESCRIPTION:seats: 9")) == []


@pytest.mark.parametrize(
    ("start", "hour"),
    [
        ("DTSTART:20270301T100000", "10:00"),  # floating
        ("DTSTART;TZID=Mars/Phobos:20270301T100000", "10:00"),  # nobody knows it
        ("DTSTART;TZID=W. Europe Standard Time:20270301T100000", "10:00"),  # Outlook's name
        ("DTSTART:20270301T090000Z", "10:00"),
        ("DTSTART;TZID=America/New_York:20270301T040000", "10:00"),
    ],
)
def test_time_zones(start: str, hour: str) -> None:
    found = parse(*event("SUMMARY:x", start, "DURATION:PT90M", "DESCRIPTION:seats: 5"))
    assert [w.start for w in found] == [at(f"2027-03-01 {hour}")]
    assert found[0].end - found[0].start == 5400


def test_an_event_of_whole_days_is_reported_and_the_others_stay() -> None:
    whole = event(
        "SUMMARY:Open day", "DTSTART;VALUE=DATE:20270302", "DESCRIPTION:seats: 30", uid="two"
    )
    good = event("SUMMARY:Chemistry", *MONDAY, "DESCRIPTION:seats: 120")
    found = from_ics(ics(*whole, *good), classes(), at("2027-03-01"), at("2027-03-31"))
    assert found.windows == (FIRST,)
    assert "Open day: an event of whole days" in found.problems[0]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["DTSTART:20270301T100000Z", "DTEND:20270301T090000Z"], "ends before"),
        (
            ["DTSTART:20270301T100000Z", "DTEND:20270301T110000Z", "DESCRIPTION:seats: 99999"],
            "99999",
        ),
    ],
)
def test_a_senseless_event_is_reported_and_the_others_stay(lines: list[str], words: str) -> None:
    bad = event("SUMMARY:odd", *lines, uid="two")
    good = event("SUMMARY:Chemistry", *MONDAY, "DESCRIPTION:seats: 120")
    found = from_ics(ics(*bad, *good), classes(ics_seats=5), at("2027-03-01"), at("2027-03-31"))
    assert FIRST in found.windows
    assert words in "".join(found.problems)


def test_an_event_without_a_start_does_not_hide_the_others() -> None:
    bad = event("SUMMARY:odd", "DTEND:20270301T090000Z", uid="two")
    good = event("SUMMARY:Chemistry", *MONDAY, "DESCRIPTION:seats: 120")
    found = from_ics(ics(*bad, *good), classes(), at("2027-03-01"), at("2027-03-31"))
    assert found.windows == (FIRST,)


def test_an_empty_calendar_has_no_classes() -> None:
    assert parse() == []


@pytest.mark.parametrize("text", ["", "<html>500</html>", "BEGIN:VEVENT\r\nEND:VEVENT\r\n"])
def test_what_is_no_calendar_is_said_to_be_none(text: str) -> None:
    with pytest.raises(NotACalendarError):
        from_ics(text, classes(), 0, 1)


def test_the_same_class_counts_once_and_different_ones_add() -> None:
    mine = Window("chem", 10, 20, 100, "g")
    theirs = Window("Chem", 10, 25, 120)
    other = Window("bio", 10, 20, 30)
    assert combined([mine, other], [theirs]) == (other, Window("chem", 10, 25, 120, "g"))


class Handler(BaseHTTPRequestHandler):
    """Answers with whatever the test has put into `answer`."""

    answer: tuple[int, str] = (200, "")

    def do_GET(self) -> None:
        status, body = self.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/lab.ics"
    server.shutdown()
    thread.join()
    server.server_close()


def check(text: str) -> object:
    return from_ics(text, classes(), 0, 1)


def test_the_last_good_copy_is_kept_whatever_the_server_says(url: str, tmp_path: Path) -> None:
    kept = tmp_path / "lab.ics"
    Handler.answer = (500, "oops")
    assert refresh(url, kept, check) == Copy("", f"calendar {url}: 500 Internal Server Error")
    Handler.answer = (200, ics())
    assert refresh(url, kept, check) == Copy(ics())
    for answer in ((500, "oops"), (200, "<html>log in</html>"), (200, "")):
        Handler.answer = answer
        copy = refresh(url, kept, check)
        assert copy.text == ics()
        assert copy.problem
    newer = ics(*event("SUMMARY:Chemistry", *MONDAY))
    Handler.answer = (200, newer)
    assert refresh(url, kept, check) == Copy(newer)
    assert sorted(tmp_path.iterdir()) == [kept]


def test_a_calendar_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "lab.ics"
    with pytest.raises(CommandError, match="No such file"):
        fetch(str(file))
    file.write_text(ics(), newline="")
    assert fetch(str(file)) == ics()
    with pytest.raises(UsageError):
        fetch("ftp://host/lab.ics")
