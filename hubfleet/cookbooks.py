"""The content identifier of a cookbook, as chef-cli writes it into a policy lock."""

import fnmatch
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

UPLOADED = ".uploaded-cookbook-version.json"


def identifier(cookbook: Path) -> str:
    """Return SHA-1 over the sorted lines `path:md5` of all files that chef-cli would upload.

    The rules are those of chef-cli's cookbook_profiler/identifiers.rb and Chef's
    cookbook/cookbook_version_loader.rb and cookbook/chefignore.rb.
    """
    lines = []
    for name in uploaded(cookbook):
        checksum = hashlib.md5((cookbook / name).read_bytes(), usedforsecurity=False)
        lines.append(f"{name}:{checksum.hexdigest()}\n")
    text = "".join(lines)
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def uploaded(cookbook: Path) -> list[str]:
    """Return the files that chef-cli would upload, relative to the cookbook, sorted."""
    ignored = _ignore_patterns(cookbook)
    return sorted(
        name for name in _files(cookbook) if not any(_matches(name, pattern) for pattern in ignored)
    )


def _files(cookbook: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(cookbook):
        if Path(folder) == cookbook:
            folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(folder, name)
            if name != UPLOADED and path.is_file():
                yield path.relative_to(cookbook).as_posix()


def _ignore_patterns(cookbook: Path) -> list[str]:
    """Return the patterns of the nearest `chefignore`, in the cookbook or any folder above it."""
    for folder in (cookbook, *cookbook.resolve().parents):
        file = folder / "chefignore"
        if file.is_file():
            lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
            return [line for line in lines if line and not line.startswith("#")]
    return []


def _matches(name: str, pattern: str) -> bool:
    # Ruby's File.fnmatch: a leading period only matches a period that the pattern spells out.
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return fnmatch.fnmatchcase(name, pattern)
