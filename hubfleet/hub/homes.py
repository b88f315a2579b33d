"""Home directories: made before a server starts, owned by the student, shared with nobody."""

import os
import stat
from pathlib import Path

from hubfleet.errors import HubfleetError
from hubfleet.hub.names import home_name


class HomeError(HubfleetError):
    """A student's home cannot be used; the message is for the student."""


def ensure_home(base: Path, username: str, uid: int) -> Path:
    """Return the home of `username` under `base`, made with mode 0700 where it is missing.

    Raises HomeError where the storage is missing, full or read-only, or where something else stands
    in the home's place.
    """
    home = base / home_name(username)
    if not base.is_dir():
        raise HomeError("The storage of the homes is not mounted; please tell your administrator.")
    try:
        home.mkdir(mode=0o700)
        os.chown(home, uid, uid, follow_symlinks=False)
    except FileExistsError:
        pass
    except OSError as error:
        raise HomeError(
            f"Your home could not be made ({error.strerror}); please tell your administrator."
        ) from error
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise HomeError("Your home is not a directory; please tell your administrator.")
    if found.st_uid == 0:
        # A hub that died between mkdir and chown leaves a directory of root's.
        os.chown(home, uid, uid, follow_symlinks=False)
    elif found.st_uid != uid:
        raise HomeError("Your home belongs to somebody else; please tell your administrator.")
    return home
