"""The files of packer/ as plain Python values, for its static tests; they can be changed there."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import hcl2

from tests.static.hcl import plain


@dataclass(frozen=True)
class Packer:
    """All .pkr.hcl files, by name; `changed` shows what a rule says of another text."""

    texts: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> "Packer":
        return cls({path.name: path.read_text() for path in sorted(folder.glob("*.pkr.hcl"))})

    def changed(self, file: str, old: str, new: str) -> "Packer":
        """Return the files with one change; `old` must be there."""
        assert old in self.texts[file], f"{file} does not say {old!r}"
        return Packer({**self.texts, file: self.texts[file].replace(old, new)})

    @cached_property
    def blocks(self) -> dict[str, list[Any]]:
        """Return all top blocks by their kind; labels are keys, as python-hcl2 returns them."""
        found: dict[str, list[Any]] = {}
        for text in self.texts.values():
            for kind, entries in _parsed(text).items():
                found.setdefault(kind, []).extend(entries)
        return found

    @property
    def source(self) -> dict[str, Any]:
        """Return the only source's arguments."""
        ((source,),) = ([*entry["amazon-ebs"].values()] for entry in self.blocks["source"])
        return dict(source)

    @property
    def build(self) -> dict[str, Any]:
        (build,) = self.blocks["build"]
        return dict(build)

    @property
    def images(self) -> dict[str, dict[str, Any]]:
        """Return what each image has of its own, by its name."""
        bodies = [body for entry in self.build["source"] for body in entry.values()]
        return {body["name"]: body for body in bodies}


@cache
def _parsed(text: str) -> dict[str, list[Any]]:
    return dict(plain(hcl2.loads(text)))
