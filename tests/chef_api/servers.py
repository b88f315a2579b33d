"""Servers that a test starts, kills and starts again."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_process import ChefProcess, start_embedded
from hubfleet.clients.chef_wire import ChefServerError
from tests.chef_api.target import Target, new_keys


@dataclass
class Machine:
    """An embedded server in a directory of its own, which can die and come back."""

    directory: Path
    keys: Path
    public: dict[str, Path] = field(default_factory=dict)
    process: ChefProcess | None = None
    port: int | None = None

    @classmethod
    def new(cls, directory: Path, keys: Path) -> "Machine":
        """Start a server without data; `keys` is made where it is missing."""
        if not keys.exists():
            keys.mkdir()
            new_keys(keys)
        public = {name: keys / f"{name}.pub" for name in ("operator", "bootstrap", "fleet")}
        made = cls(directory, keys, public)
        made.start()
        return made

    def start(self) -> None:
        """Start it, with the data that it has and at the address that it had."""
        self.process = start_embedded(self.directory, self.public, self.port)
        self.port = int(self.process.url.split(":")[2].split("/")[0])

    def kill(self) -> None:
        """End it as a power failure would."""
        assert self.process
        self.process.kill()

    def stop(self) -> None:
        """End it."""
        if self.process:
            self.process.stop()

    @property
    def target(self) -> Target:
        """The server as the tests see it."""
        assert self.process
        return Target(self.process.url, self.public["operator"], self.keys)

    @property
    def operator(self) -> Chef:
        """The server as its administrator sees it."""
        return self.target.operator

    @property
    def files(self) -> Path:
        """The data of its organization."""
        return self.directory / "data/data/organizations/hubfleet"

    def damage(self) -> list[str]:
        """Return what of its files is broken, left over, or refers to nothing."""
        return [
            *self._broken(),
            *(f"left over: {path.name}" for path in (self.directory / "data/tmp").iterdir()),
            *self._empty(),
            *self._dangling(),
        ]

    def _broken(self) -> Iterator[str]:
        for path in self.files.rglob("*"):
            if not path.is_file():
                continue
            name, content = path.relative_to(self.files), path.read_bytes()
            if name.parts[0] == "file_store":
                if md5(content) != path.name:
                    yield f"{name}: another checksum"
                continue
            try:
                json.loads(content)
            except ValueError as error:
                yield f"{name}: {error}"

    def _empty(self) -> Iterator[str]:
        for path in self.files.glob("*/**/*"):
            if path.is_dir() and not any(path.iterdir()) and path.parent.name != "data":
                yield f"empty: {path.relative_to(self.files)}"

    def _dangling(self) -> Iterator[str]:
        for group in self.files.glob("policy_groups/*/policies/*"):
            revision = self.files / "policies" / group.name / "revisions" / read(group)
            if not revision.is_file():
                yield f"{group.parts[-3]}/{group.name}: no revision {revision.name}"
                continue
            for name, lock in read(revision)["cookbook_locks"].items():
                if not (self.files / "cookbook_artifacts" / name / lock["identifier"]).is_file():
                    yield f"{group.name}: no cookbook {name} {lock['identifier']}"
        for artifact in self.files.glob("cookbook_artifacts/*/*"):
            for file in read(artifact).get("all_files", []):
                if not (self.files / "file_store/checksums" / file["checksum"]).is_file():
                    yield f"{artifact.parent.name}: no file {file['path']}"
        for keys in self.files.glob("client_keys/*"):
            if not (self.files / "clients" / keys.name).is_file():
                yield f"keys of nobody: {keys.name}"


def read(path: Path) -> Any:
    """Return a file of JSON."""
    return json.loads(path.read_bytes())


def md5(content: bytes) -> str:
    """Return the checksum by which the Chef API names a file."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def push(chef: Chef, group: str, name: str, number: int, files: dict[str, bytes]) -> str:
    """Publish a policy of one cookbook as `chef push` does; return its revision.

    What an earlier push of the same has left is built upon.
    """
    identifier = hashlib.sha256(repr((name, number)).encode()).hexdigest()[:40]
    chef.upload({md5(content): content for content in files.values()})
    entries = [
        {"name": path, "path": path, "checksum": md5(content), "specificity": "default"}
        for path, content in files.items()
    ]
    version = f"0.0.{number}"
    manifest = {
        "name": name,
        "identifier": identifier,
        "version": version,
        "metadata": {"name": name, "version": version, "dependencies": {}},
        "all_files": entries,
    }
    try:
        chef.create_cookbook_artifact(name, identifier, manifest)
    except ChefServerError as error:
        if error.status != 409:
            raise
    lock = {
        "revision_id": identifier,
        "name": name,
        "run_list": [f"recipe[{name}::default]"],
        "cookbook_locks": {
            name: {
                "version": version,
                "identifier": identifier,
                "dotted_decimal_identifier": "1.2.3",
            }
        },
    }
    chef.assign_policy(group, name, lock)
    return identifier
