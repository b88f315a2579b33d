"""Snapshots of an embedded Chef server: all its data as one archive, and back.

No other Chef server has them.
"""

import hashlib
import io
import json
import tarfile
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_wire import ChefServerError, Json
from hubfleet.errors import HubfleetError, PreconditionError

PART_BYTES = 8 * 1024 * 1024
"""Bytes of one request of a restore: the server and its proxy take 10 MiB."""

MANIFEST = "snapshot.json"
"""First entry of an archive: what it holds."""

ABSENT = (404, 405)
"""How servers answer that know no snapshots."""


def take(chef: Chef) -> bytes:
    """Return the server's data of one moment as tar.gz, checked to be whole.

    Raises PreconditionError where the server has no snapshots, HubfleetError where one is damaged.
    """
    try:
        content = chef.wire.download(f"{chef.url}/_snapshot")
    except ChefServerError as error:
        raise _explained(chef, error) from error
    contents(content)
    return content


def put_back(chef: Chef, content: bytes, keep: Sequence[str] = (), force: bool = False) -> int:
    """Replace the server's data by a snapshot; return the number of objects.

    `keep` names clients that stay as they are on the server, with their keys and nodes. Raises
    PreconditionError where the server is in use, unless `force`d, or has no snapshots, and
    ChefServerError where it refuses the archive; then nothing has changed.
    """
    order: Json = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "keep": list(keep),
        "force": force,
    }
    try:
        for offset in range(0, len(content), PART_BYTES):
            part = content[offset : offset + PART_BYTES]
            chef.wire.upload(f"{chef.url}/_snapshot/parts/{offset}", part)
        return int(chef.wire.object("PUT", "/_snapshot", order)["restored"])
    except ChefServerError as error:
        if error.status == 409:
            raise PreconditionError(
                error.message, "restore into an empty server, or replace all of it with --force"
            ) from error
        raise _explained(chef, error) from error


def contents(content: bytes) -> dict[str, int]:
    """Return how many objects of each kind a snapshot holds; HubfleetError where it is damaged."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            members = archive.getmembers()
            manifest = _manifest(archive, members)
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, KeyError) as error:
        raise HubfleetError(f"the snapshot is damaged: {error}", "take it again") from error
    files = [member.name.split("/") for member in members[1:] if member.isfile()]
    if len(files) != manifest["files"]:
        raise HubfleetError("the snapshot is incomplete", "take it again")
    return dict(sorted(Counter(path[2] for path in files if len(path) > 3).items()))


def _manifest(archive: tarfile.TarFile, members: Sequence[tarfile.TarInfo]) -> Json:
    first = archive.extractfile(members[0]) if members else None
    if first is None or members[0].name != MANIFEST:
        raise ValueError(f"it does not begin with {MANIFEST}")
    found: Any = json.load(first)
    return dict(found)


def _explained(chef: Chef, error: ChefServerError) -> HubfleetError:
    if error.status not in ABSENT:
        return error
    return PreconditionError(
        f"the Chef server at {chef.url} is not an embedded one: it has no snapshots",
        "use that server's own backup (such as chef-server-ctl backup); ./invoke chef.export works",
    )
