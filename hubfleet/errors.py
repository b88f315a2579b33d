"""Every error a user may meet, as one tree.

HubfleetError                 exit 1: a failure, or wrong use
├── UsageError                exit 1: an argument that cannot be right
├── PreconditionError         exit 3: something must be put right first (disk, port, stale lock)
│   ├── SettingsError         exit 3: a role, environment or lock file is wrong; names file and key
│   └── LockedError           exit 3: another run holds the deployment; names the holder
├── CommandError              exit 1: a program that hubfleet ran has failed; carries its output
├── ConvergeError             exit 1: a node did not converge; names node and resource
└── PartialError              exit 4: some nodes did, some did not

Exit codes are part of the command line's contract: 0 ok, 1 failure or wrong use, 3 precondition,
4 partial, 130 interrupted.
"""

import difflib
from collections.abc import Iterable


class HubfleetError(Exception):
    """What went wrong in one sentence, and in `hint` what to do next."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HubfleetError):
    """An argument that cannot be right."""


class PreconditionError(HubfleetError):
    """Something must be put right before the command can run."""

    exit_code = 3


class SettingsError(PreconditionError):
    """A role, environment or lock file is wrong."""


class LockedError(PreconditionError):
    """Another run holds the deployment."""


class CommandError(HubfleetError):
    """A program that hubfleet ran has failed; `output` is what it printed."""

    def __init__(self, message: str, hint: str = "", output: str = "") -> None:
        super().__init__(message, hint)
        self.output = output


class ConvergeError(HubfleetError):
    """A node did not converge."""


class PartialError(HubfleetError):
    """Some nodes did what was asked, some did not."""

    exit_code = 4


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the closest of `known`, or an empty string."""
    found = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""
