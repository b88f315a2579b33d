"""Tasks for images: containers' (build, publish, list) and machines' on AWS (bake, find)."""

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


@task(
    help={
        "image": "Only this image (node, chef_server, workstation); may be given more than once.",
        "subnet": "Subnet to build in, with a way out (default: one of the account's default VPC).",
    },
    iterable=["image"],
)
def bake(
    console: Console,
    image: list[str],
    env: str | None = None,
    subnet: str = "",
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Make machine images with Packer and note them in packer/manifest.json."""
    from dataclasses import asdict

    from hubfleet import bake as baking

    request = baking.Request.checked(env or "production", image, subnet)
    if dry_run:
        baking.validate(request, console)
        for name in request.images:
            console.say(f"bake {name} of {request.environment}")
        return
    made = baking.bake(request, console)
    if json:
        console.emit_json([asdict(each) for each in made])
    console.table(("image", "AMI"), [(each.image, each.ami) for each in made])


@task()
def find(console: Console, env: str | None = None, json: bool = False) -> None:
    """Note the newest machine images that the account has in packer/manifest.json."""
    from dataclasses import asdict

    from hubfleet import bake as baking
    from hubfleet import machine_images
    from hubfleet.clients.aws_fleet import AwsFleet
    from hubfleet.state import ROOT

    environment = env or "production"
    region = baking.on_aws(environment).fleet.aws.region
    found = machine_images.newest(AwsFleet(region), environment)
    machine_images.note(ROOT, environment, region, found)
    if json:
        console.emit_json([asdict(each) for each in found])
    if not found:
        console.say(
            f"no machine image of {environment} in {region}: ./invoke images.bake makes them"
        )
    rows = [(each.image, each.ami, each.made, each.revision[:10]) for each in found]
    console.table(("image", "AMI", "made", "commit"), rows)


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
