"""Read a class calendar from a file or an https address, and keep the last good copy.

The copy lies beside the deployment's state, so that a restart while the calendar's server is down
still knows the classes.
"""

import http.client
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from hubfleet.errors import CommandError, UsageError

TIMEOUT_S = 10

MOST_BYTES = 5_000_000
"""A calendar of a department has some hundred kilobytes."""


@dataclass(frozen=True)
class Copy:
    """The text of a calendar, "" for none, and why it is not a new one, "" where it is."""

    text: str
    problem: str = ""


def fetch(source: str, timeout: float = TIMEOUT_S) -> str:
    """Return the text of the calendar at a path or an address.

    Raises CommandError where it cannot be read, UsageError for an address that is not http(s).
    """
    if "://" not in source:
        try:
            raw = Path(source).read_bytes()
        except OSError as error:
            raise CommandError(f"calendar {source}: {error.strerror}") from error
    elif source.startswith(("https://", "http://")):
        raw = _get(source, timeout)
    else:
        raise UsageError(f"calendar {source}: expected a file or an https address")
    if len(raw) > MOST_BYTES:
        raise CommandError(f"calendar {source}: more than {MOST_BYTES} bytes")
    return raw.decode("utf-8", errors="replace")


def refresh(source: str, kept: Path, check: Callable[[str], object]) -> Copy:
    """Return a new copy where `check` finds no fault in it, else the last good one from `kept`.

    `check` raises ValueError for what is no calendar. Never raises for what the source does.
    """
    try:
        text = fetch(source)
        check(text)
    except (CommandError, ValueError) as error:
        return Copy(_kept(kept) or "", str(error))
    if _kept(kept) != text:
        # Replaced whole: a controller that is killed while it writes must not lose the good copy.
        fresh = kept.with_suffix(".new")
        fresh.write_bytes(text.encode())
        fresh.replace(kept)
    return Copy(text)


def _kept(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None


def _get(source: str, timeout: float) -> bytes:
    request = Request(source, headers={"Accept": "text/calendar, */*;q=0.1"})
    try:
        with urlopen(request, timeout=timeout) as answer:
            body: bytes = answer.read(MOST_BYTES + 1)
    except HTTPError as error:
        raise CommandError(f"calendar {source}: {error.code} {error.reason}") from error
    except (URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise CommandError(f"calendar {source}: {reason}") from error
    return body
