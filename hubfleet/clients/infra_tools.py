"""OpenTofu (or Terraform) and Packer: where they are on this machine, and running them.

A folder with them as compressed files and a script `unpack` comes first: $HUBFLEET_TOOLS, or
`../shared/tools` beside the checkout. It has the plug-ins, too, and so works without a network;
without such a folder the programs on the PATH are taken.
"""

import fcntl
import hashlib
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hubfleet.clients import process
from hubfleet.errors import PreconditionError
from hubfleet.settings import ROOT

UNPACK_TIMEOUT_S = 300
"""Seconds that unpacking may take; half a minute where the disk is slow."""

RUN_TIMEOUT_S = 3600
"""Seconds that one run may take; making images is the longest."""

TOFU = ("tofu", "terraform")
PACKER = ("packer",)


@dataclass(frozen=True)
class Tool:
    """A program, and what its environment needs."""

    path: str
    env: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        log: Path | None = None,
        timeout: float = RUN_TIMEOUT_S,
        grace: float | None = None,
    ) -> process.Completed:
        """Run it in `cwd`, for `timeout` seconds at most; arguments and errors of process.run."""
        return process.run(
            [self.path, *argv],
            cwd=cwd,
            env={**self.env, **(env or {})},
            check=check,
            log=log,
            timeout=timeout,
            grace=grace,
        )


def find(names: Sequence[str], cache: Path, root: Path = ROOT) -> Tool | None:
    """Return the first of `names` that is here, or None; the folder is unpacked into `cache`."""
    folder = Path(os.environ.get("HUBFLEET_TOOLS") or root.parent / "shared" / "tools")
    if (folder / "unpack").is_file():
        for name in names:
            if (folder / f"{name}.xz").is_file():
                return _unpacked(folder, name, cache)
    found = (path for name in names if (path := shutil.which(name)))
    return next((Tool(path) for path in found), None)


def _unpacked(folder: Path, name: str, cache: Path) -> Tool:
    listed = (folder / "SHA256SUMS").read_bytes()
    target = cache / f"tools-{hashlib.sha256(listed).hexdigest()[:16]}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = process.run([folder / "unpack", target], timeout=UNPACK_TIMEOUT_S).stdout
    pairs = [word.split("=", 1) for word in shlex.split(said) if "=" in word]
    env = {key: value for key, value in pairs if key != "PATH"}
    return Tool(str(target / "bin" / name), env)


def require(names: Sequence[str], cache: Path, root: Path = ROOT) -> Tool:
    """Return the first of `names` that is here; raise PreconditionError where none is."""
    tool = find(names, cache, root)
    if tool is None:
        raise PreconditionError(
            f"{' or '.join(names)} is not installed",
            f"install {names[0]} as its maker says, and put it on your PATH",
        )
    return tool
