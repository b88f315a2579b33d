"""Tasks for container images: build, publish, list."""

from typing import Any

from hubfleet.console import Console
from hubfleet.state import Deployment
from hubfleet.tasks.common import task

ONLY = {"image": "Only this image; may be given more than once."}


@task(help=ONLY, iterable=["image"])
def build(console: Console, image: list[str], dry_run: bool = False) -> None:
    """Build the images that the engine lacks; images/lock.json follows their inputs."""
    from hubfleet import images

    if dry_run:
        for row in _overview():
            if row["size_mb"] is None and row["name"] in (image or images.NAMES):
                console.say(f"build {row['reference']}")
        return
    images.build(console, image or None)


@task(help=ONLY, iterable=["image"])
def push(
    console: Console,
    image: list[str],
    env: str | None = None,
    name: str | None = None,
    dry_run: bool = False,
) -> None:
    """Publish the images that the deployment's registry lacks."""
    from hubfleet import identity, image_publish, images
    from hubfleet.settings import load

    deployment = Deployment.open(name, env)
    wanted = image or list(images.PUBLISHED)
    if dry_run:
        for one in wanted:
            console.say(f"publish {images.reference(one)} where {deployment.name} lacks it")
        return
    with deployment.lock("images.push"):
        registry = identity.registry(deployment, load(deployment.environment))
        image_publish.push(registry, console, wanted)


@task(name="list")
def list_(console: Console, json: bool = False) -> None:
    """List the images: tag, size, whether the tag is that of their inputs."""
    rows = _overview()
    if json:
        console.emit_json(rows)
    console.table(
        ("image", "reference", "MB", "budget", "fresh"),
        [
            (r["name"], r["reference"], r["size_mb"], r["budget_mb"], "yes" if r["fresh"] else "no")
            for r in rows
        ],
    )


def _overview() -> list[dict[str, Any]]:
    """Return what is to be said of each image; `size_mb` is null where the engine lacks it."""
    from hubfleet import images
    from hubfleet.clients import docker

    stale = images.stale()
    rows = []
    for name in images.NAMES:
        reference = images.reference(name)
        size = docker.image_size(reference)
        rows.append(
            {
                "name": name,
                "reference": reference,
                "size_mb": None if size is None else round(size / 1e6),
                "budget_mb": images.SIZE_BUDGET_MB[name],
                "fresh": name not in stale,
            }
        )
    return rows
