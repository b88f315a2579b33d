"""The container images of a deployment: tags, lock file, building.

`base` is the parent of the others; `node` stands in for a machine, `hub` and `notebook` run on the
Swarm and are published to the deployment's registry.
"""

import json
import time
from collections.abc import Iterable
from pathlib import Path

from hubfleet.clients import docker
from hubfleet.console import Console
from hubfleet.errors import CommandError, SettingsError, UsageError, nearest
from hubfleet.image_build import build_base, build_derived, cache_dir
from hubfleet.image_inputs import image_sources, tag_of
from hubfleet.state import ROOT

NAMES = ("base", "node", "notebook", "hub")
PUBLISHED = ("hub", "notebook")

SIZE_BUDGET_MB = {"base": 100, "node": 600, "notebook": 700, "hub": 450}
"""Megabytes (10^6 bytes) an image may have unpacked, as `docker images` counts them."""


def repository(name: str) -> str:
    """Return the repository of an image, which is the same in every registry."""
    return f"hubfleet/{name}"


def compute_tags(root: Path = ROOT) -> dict[str, str]:
    """Return the tag of every image: a pure function of file contents. Takes milliseconds."""
    tags = {"base": tag_of(image_sources("base", root), "")}
    for name in NAMES[1:]:
        tags[name] = tag_of(image_sources(name, root), tags["base"])
    return tags


def read_lock(root: Path = ROOT) -> dict[str, str]:
    """Return the tags recorded in images/lock.json; raise SettingsError where it is broken."""
    path = root / "images" / "lock.json"
    try:
        lock = json.loads(path.read_text())
        return {name: str(lock[name]["tag"]) for name in NAMES}
    except FileNotFoundError as error:
        raise SettingsError(f"{path} is missing", "run ./invoke images.build") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} cannot be read: {error!r}", "run ./invoke images.build"
        ) from error


def write_lock(root: Path = ROOT) -> bool:
    """Bring images/lock.json up to date; return whether that changed it."""
    text = json.dumps({name: {"tag": tag} for name, tag in compute_tags(root).items()}, indent=2)
    path = root / "images" / "lock.json"
    if path.is_file() and json.loads(path.read_text()) == json.loads(text):
        return False
    ordered = json.dumps(json.loads(text), indent=2, sort_keys=True)
    path.write_text(ordered + "\n")
    return True


def stale(root: Path = ROOT) -> list[str]:
    """Return the names of the images whose recorded tag is not that of their inputs."""
    recorded = read_lock(root)
    return [name for name, tag in compute_tags(root).items() if recorded[name] != tag]


def reference(name: str, root: Path = ROOT) -> str:
    """Return `hubfleet/<name>:<tag>` as images/lock.json records it."""
    return f"{repository(name)}:{read_lock(root)[name]}"


def build(
    console: Console, names: Iterable[str] | None = None, root: Path = ROOT
) -> dict[str, str]:
    """Build the images that the engine lacks, parents first, and return all references.

    Brings images/lock.json up to date. Removes nothing. Raises UsageError for an unknown name,
    CommandError where a build fails or an image is larger than its budget.
    """
    wanted = in_order(names)
    write_lock(root)
    references = {name: f"{repository(name)}:{tag}" for name, tag in read_lock(root).items()}
    missing = [name for name in wanted if docker.image_size(references[name]) is None]
    if missing and docker.image_size(references["base"]) is None:
        missing = ["base", *(name for name in missing if name != "base")]
    for name in missing:
        _build_one(console, name, references, root)
    return references


def _build_one(console: Console, name: str, references: dict[str, str], root: Path) -> None:
    """Build one image, say how long it took and how large it is, and enforce its budget."""
    log = cache_dir() / "log" / f"image-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    started = time.monotonic()
    if name == "base":
        build_base(references[name], root, log)
    else:
        build_derived(name, references[name], references["base"], root, log)
    size = (docker.image_size(references[name]) or 0) / 1e6
    seconds = time.monotonic() - started
    console.say(f"image {references[name]}: built in {seconds:.0f} s, {size:.0f} MB")
    if size > SIZE_BUDGET_MB[name]:
        raise CommandError(
            f"image {name!r} has {size:.0f} MB; its budget is {SIZE_BUDGET_MB[name]} MB",
            "take something out, or raise SIZE_BUDGET_MB with a reason",
        )


def in_order(names: Iterable[str] | None) -> list[str]:
    """Return the named images, parents first; raise UsageError for one that does not exist."""
    wanted = set(names or NAMES)
    for name in sorted(wanted - set(NAMES)):
        raise UsageError(f"there is no image {name!r}{nearest(name, NAMES)}")
    return [name for name in NAMES if name in wanted]
