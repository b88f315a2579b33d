"""Publish images to a deployment's registry.

Reading an image out of the engine and compressing it takes most of the time, so what came of it is
kept in the cache: the next deployment, or the next registry, is only sent what it lacks.
"""

import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from hubfleet.clients import docker
from hubfleet.clients.registry import Registry, pack
from hubfleet.console import Console
from hubfleet.errors import CommandError
from hubfleet.image_build import cache_dir
from hubfleet.images import PUBLISHED, in_order, read_lock, repository
from hubfleet.settings import ROOT
from hubfleet.state import make_private_dir

KEPT = 6
"""Packed images that stay in the cache: two published ones of three versions."""


def push(
    registry: Registry, console: Console, names: Iterable[str] | None = None, root: Path = ROOT
) -> list[str]:
    """Publish the images that a deployment's registry lacks; return the references it took."""
    wanted = [(repository(name), read_lock(root)[name]) for name in in_order(names or PUBLISHED)]
    return [f"{repo}:{tag}" for repo, tag in wanted if publish(registry, console, repo, tag)]


def publish(registry: Registry, console: Console, repo: str, tag: str) -> bool:
    """Publish an image of this machine's engine; return whether the registry lacked it.

    Raises CommandError where the engine lacks it too.
    """
    if registry.has(repo, tag):
        return False
    local = f"{repo}:{tag}"
    started = time.monotonic()
    registry.push(packed(local), repo, tag)
    console.say(f"image {local}: published in {time.monotonic() - started:.0f} s")
    return True


def packed(local: str) -> Path:
    """Return the directory that holds an image of the engine, compressed; made where it is missing.

    Raises CommandError where the engine lacks the image.
    """
    digest = docker.image_id(local)
    if digest is None:
        raise CommandError(f"image {local} is not built", "run ./invoke images.build")
    folder = cache_dir() / "packed"
    target = folder / digest[:16]
    if target.is_dir():
        target.touch()
        return target
    make_private_dir(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
        archive, made = Path(scratch) / "image.tar", Path(scratch) / "packed"
        docker.save_image(local, archive)
        pack(archive, made)
        # Whole or not at all; another process may have been quicker.
        if not target.is_dir():
            made.rename(target)
    _forget_old(folder)
    return target


def _forget_old(folder: Path) -> None:
    kept = sorted(folder.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
