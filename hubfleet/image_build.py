"""Build one image on the local engine: its root file system or its Dockerfile.

The classic builder is used, because it is in every engine; it needs no build secrets, since the
machine's own configuration stays in the stages that do not become the image.
"""

import io
import json
import os
import shlex
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hubfleet.clients import docker, process
from hubfleet.errors import PreconditionError
from hubfleet.image_inputs import Source, image_sources, node_gems
from hubfleet.image_machine import apt_options, apt_sources, machine_files

BOOTSTRAP_TIMEOUT_S = 900
"""Seconds that mmdebstrap has; half a minute where the mirror is near."""

MTIME = 315532800
"""1980-01-01, the time of every file in a build context: the builder's cache must not see ours."""


def cache_dir() -> Path:
    """Return the directory outside of the checkout that keeps what is slow to make again."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HUBFLEET_CACHE") or Path(base) / "hubfleet")


def build_base(reference: str, root: Path, log: Path) -> None:
    """Make the image all others start from: pulled where a registry answers, else bootstrapped."""
    folder = root / "images" / "base"
    base = json.loads((folder / "base.json").read_text())
    if docker.pull_image(base["image"], reference):
        return
    archive = cache_dir() / "rootfs" / f"{reference.replace('/', '-').replace(':', '-')}.tar"
    if not archive.is_file():
        _bootstrap(archive, base["suite"], base["variant"], folder, log)
    docker.import_image(reference, archive, ["bash"])


def _bootstrap(archive: Path, suite: str, variant: str, folder: Path, log: Path) -> None:
    """Write a root file system of Debian `suite` to `archive`, whole or not at all.

    mmdebstrap copies the machine's resolv.conf, host name and apt settings; hooks take them out.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    sources = folder / "debian.sources"
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
        work = Path(scratch)
        (work / "apt.conf").write_text("".join(f"{line}\n" for line in apt_options()))
        (work / "sources.list").write_text(apt_sources(suite, sources.read_text()))
        leftovers = (
            "etc/resolv.conf etc/hostname etc/apt/sources.list etc/apt/sources.list.d/* "
            "etc/apt/apt.conf.d/99mmdebstrap var/log/apt var/log/*.log var/cache/ldconfig/*"
        )
        argv: list[str | Path] = [
            "mmdebstrap",
            f"--variant={variant}",
            f"--aptopt={work}/apt.conf",
            f"--dpkgopt={folder}/dpkg-slim.cfg",
            f'--customize-hook=cd "$1" && rm -rf {leftovers}',
            f"--customize-hook=copy-in {shlex.quote(str(sources))} /etc/apt/sources.list.d",
            suite,
            work / "rootfs.tar",
            work / "sources.list",
        ]
        process.run(argv, timeout=BOOTSTRAP_TIMEOUT_S, log=log)
        (work / "rootfs.tar").rename(archive)


def build_derived(name: str, reference: str, base: str, root: Path, log: Path) -> None:
    """Build the Dockerfile of image `name` on top of the image `base`."""
    with _context(name, root) as context:
        docker.build_image(reference, context, {"BASE": base}, log)


@contextmanager
def _context(name: str, root: Path) -> Iterator[IO[bytes]]:
    """Yield the build context of one image as a tar archive in a temporary file."""
    folder = root / "images" / "base"
    suite = json.loads((folder / "base.json").read_text())["suite"]
    machine = machine_files(suite, (folder / "debian.sources").read_text())
    sources = image_sources(name, root)
    sources |= {f"machine/{path}": Source(content) for path, content in machine.items()}
    if name == "node":
        sources |= {f"gems/{path.name}": Source(path.read_bytes()) for path in gem_files(root)}
        sources.setdefault("gems/.keep", Source(b""))
    with tempfile.TemporaryFile() as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for path, source in sorted(sources.items()):
                entry = tarfile.TarInfo(path)
                entry.size, entry.mtime = len(source.content), MTIME
                entry.mode = 0o755 if source.executable else 0o644
                archive.addfile(entry, io.BytesIO(source.content))
        stream.seek(0)
        yield stream


def gem_files(root: Path) -> list[Path]:
    """Return the gem packages of a node that the gem folder holds, for a machine without RubyGems.

    The folder is $HUBFLEET_GEMS, or `../shared/gems` beside the checkout. Where it exists it must
    hold all of them: PreconditionError otherwise.
    """
    folder = Path(os.environ.get("HUBFLEET_GEMS") or root.parent / "shared" / "gems")
    if not folder.is_dir():
        return []
    files = [folder / f"{name}-{version}.gem" for name, version in node_gems(root)]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise PreconditionError(
            f"{folder} lacks {', '.join(missing)} of Gemfile.lock",
            "add them, or let HUBFLEET_GEMS name a folder that does not exist to do without",
        )
    return files
