"""Notes of commands that work on all workers: while one holds, the fleet does not shrink."""

import json
from pathlib import Path

DIRECTORY = "/var/lib/hubfleet/fleet/steady"
"""One JSON file per command: why, and until when (POSIX seconds)."""


FROZEN = "frozen"
"""File beside the notes: while it is there, nothing is ordered, paused or ended at all."""


def frozen(directory: Path) -> bool:
    """Say whether the controller is only to look; what leaves is taken out all the same."""
    return (directory / FROZEN).exists()


def reason(directory: Path, now: float) -> str:
    """Return why no worker may be ended now, empty where one may; notes that are over count not."""
    for file in sorted(directory.glob("*.json")):
        try:
            note = json.loads(file.read_text())
            why, until = str(note["why"]), float(note["until"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a command that has just written or removed it
        if now < until:
            return why
        file.unlink(missing_ok=True)
    return ""
