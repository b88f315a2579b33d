"""What each image is made from: its files, its parent, the code and gems copied into it.

An image's tag is the hash of exactly these inputs, so equal inputs mean an equal tag on every
machine. Requirements before locking (`*.in`) and notes (`*.md`) are no inputs.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from hubfleet.errors import SettingsError

FORMAT = "1"
"""Raised when the way an image is built changes in a way that its inputs do not show."""

TAG_CHARS = 12
NOT_INPUTS = {".in", ".md", ".pyc"}

NODE_GEMS = ("aws-sdk-ssm", "chef-bin", "chef-zero", "mixlib-authentication", "puma", "rack")
"""Programs of a node; the versions are those of Gemfile.lock, with all that they depend on."""

HUB_CODE = (
    *("__init__.py", "errors.py", "settings*.py", "settings/**/*", "hub/**/*", "controller/**/*"),
    *("fleet/__init__.py", "fleet/base.py", "fleet/aws_names.py", "fleet/scaling*.py"),
    *(
        f"clients/{name}.py"
        for name in (
            *("__init__", "calendar", "chef", "chef_wire", "docker", "hub_service", "process"),
            *("aws_fleet", "fleet_local", "swarm_manager"),
        )
    ),
)
"""The part of the Python package that runs inside image `hub`: JupyterHub and the controller."""


@dataclass(frozen=True)
class Source:
    """One file of an image's build context."""

    content: bytes
    executable: bool = False


def image_sources(name: str, root: Path) -> dict[str, Source]:
    """Return the files of one image by their path in the build context."""
    folder = root / "images" / name
    sources = {
        path.relative_to(folder).as_posix(): _read(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in NOT_INPUTS
    }
    if not sources:
        raise SettingsError(f"there is nothing to build image {name!r} from in {folder}")
    if name == "hub":
        sources |= _hub_code(root / "hubfleet")
    if name == "node":
        listed = "".join(f"{gem} {version}\n" for gem, version in node_gems(root))
        sources["gems.txt"] = Source(listed.encode())
    return sources


def tag_of(sources: dict[str, Source], parent_tag: str) -> str:
    """Return the tag of an image made from `sources` on top of the image tagged `parent_tag`."""
    digest = hashlib.sha256(f"{FORMAT}\0{parent_tag}\0".encode())
    for path, source in sorted(sources.items()):
        content = hashlib.sha256(source.content).hexdigest()
        digest.update(f"{path}\0{int(source.executable)}\0{content}\n".encode())
    return digest.hexdigest()[:TAG_CHARS]


def node_gems(root: Path) -> list[tuple[str, str]]:
    """Return name and version of every gem of a node, dependencies first.

    Raises SettingsError where Gemfile.lock is missing or lacks one of them.
    """
    lock = root / "Gemfile.lock"
    if not lock.is_file():
        raise SettingsError(f"{lock} is missing", "run: bundle lock")
    return gem_closure(lock.read_text(), NODE_GEMS)


def gem_closure(lock: str, roots: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return `roots` and all that they depend on, dependencies first, from a Gemfile.lock's text.

    Format: in the section `specs:` four blanks and `name (version)` name a gem, six blanks and a
    name one of its dependencies (bundler's LockfileParser). Gems of other platforms are passed
    over, as are dependencies without an entry (bundler itself).
    """
    versions: dict[str, str] = {}
    needs: dict[str, list[str]] = {}
    current = ""
    for line in lock.splitlines():
        if gem := re.fullmatch(r" {4}(\S+) \(([0-9][^-)]*)\)", line):
            current = gem[1]
            versions[current] = gem[2]
            needs[current] = []
        elif current and (need := re.fullmatch(r" {6}(\S+)( \(.*\))?", line)):
            needs[current].append(need[1])
        else:
            current = ""
    order: dict[str, str] = {}
    for name in roots:
        if name not in versions:
            raise SettingsError(f"Gemfile.lock lacks the gem {name!r}", "run: bundle lock")
        _visit(name, versions, needs, order, set())
    return list(order.items())


def _visit(
    name: str,
    versions: dict[str, str],
    needs: dict[str, list[str]],
    order: dict[str, str],
    above: set[str],
) -> None:
    """Append to `order` what `name` depends on, then `name`."""
    if name in order or name in above or name not in versions:
        return
    for need in sorted(needs[name]):
        _visit(need, versions, needs, order, above | {name})
    order[name] = versions[name]


def _hub_code(package: Path) -> dict[str, Source]:
    """Return the modules of the Python package that image `hub` holds."""
    found = {path for pattern in HUB_CODE for path in package.glob(pattern) if path.is_file()}
    return {
        f"hubfleet/{path.relative_to(package).as_posix()}": _read(path)
        for path in sorted(found)
        if path.suffix not in NOT_INPUTS
    }


def _read(path: Path) -> Source:
    return Source(path.read_bytes(), bool(path.stat().st_mode & 0o100))
