"""What git says of the checkout: its commit, and what in it is not committed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hubfleet.clients.process import run
from hubfleet.errors import HubfleetError

TIMEOUT_S = 30


@dataclass(frozen=True)
class Tree:
    """A checkout's state. Where it is no git checkout: `commit` is empty and `edited` None."""

    commit: str
    edited: Sequence[str] | None
    """Files that differ from the commit, or that git does not know."""

    @property
    def dirty(self) -> bool:
        """Say whether the commit does not tell what the files hold."""
        return self.edited is None or bool(self.edited)


def look(root: Path, folders: Sequence[str]) -> Tree:
    """Return the state of `folders` in the checkout at `root`."""
    try:
        top = _git(root, "rev-parse", "--show-toplevel", "HEAD").splitlines()
        if len(top) != 2 or Path(top[0]).resolve() != root.resolve():
            return Tree("", None)  # a copy that lies in another checkout
        status = _git(root, "status", "--porcelain", "-z", "--no-renames", "--", *folders)
    except HubfleetError:
        return Tree("", None)
    return Tree(top[1], [line[3:] for line in status.split("\0") if line])


def files(root: Path) -> list[str]:
    """Return the files that git knows, or would: all that nothing ignores, sorted.

    Raises CommandError where `root` is no git checkout.
    """
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = {name for name in listed.split("\0") if name}
    return sorted(name for name in names if (root / name).is_file())


def _git(root: Path, *args: str) -> str:
    return run(["git", *args], cwd=root, timeout=TIMEOUT_S).stdout
