"""Machine images of an environment on AWS: those the account has, and packer/manifest.json.

Packer notes what it makes in the manifest, and Terraform reads it there. On a machine that has made
none, such as a runner of GitHub, it is written from the images' tags instead.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubfleet.bake_inputs import IMAGES
from hubfleet.clients.aws_fleet import AwsFleet
from hubfleet.errors import PreconditionError
from hubfleet.fleet.aws_names import DEPLOYMENT_TAG

MANIFEST = Path("packer") / "manifest.json"
IMAGE_TAG = "hubfleet.image"
REVISION_TAG = "hubfleet.revision"


@dataclass(frozen=True)
class MachineImage:
    """An image: which one, its AMI, the commit it is made from, when (ISO 8601, UTC)."""

    image: str
    ami: str
    revision: str
    made: str


def newest(aws: AwsFleet, environment: str) -> list[MachineImage]:
    """Return the newest image of each kind that the account has for the environment.

    Raises CommandError where AWS is not reached or refuses.
    """
    filters = [
        {"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [environment]},
        {"Name": "tag-key", "Values": [IMAGE_TAG]},
        {"Name": "state", "Values": ["available"]},
    ]
    found = aws.call("ec2", "describe_images", Owners=["self"], Filters=filters)["Images"]
    return _newest(_image(each) for each in found)


def note(
    root: Path, environment: str, region: str, images: Iterable[MachineImage]
) -> list[MachineImage]:
    """Add to the manifest the images that Terraform would not take from it now; return these."""
    file = root / MANIFEST
    document = read(root)
    taken = {image.image: image.ami for image in noted(document, environment, region)}
    new = [image for image in images if taken.get(image.image) != image.ami]
    for image in new:
        data = {"image": image.image, "environment": environment, "revision": image.revision}
        document["builds"].append(
            {"name": image.image, "artifact_id": f"{region}:{image.ami}", "custom_data": data}
        )
    if new:
        file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return new


def read(root: Path) -> dict[str, Any]:
    """Return Packer's manifest, one without builds where there is none.

    Raises PreconditionError where it is none of Packer's.
    """
    file = root / MANIFEST
    if not file.is_file():
        return {"builds": []}
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        builds = document["builds"]
    except (ValueError, KeyError, TypeError) as error:
        raise PreconditionError(
            f"{MANIFEST} is no manifest of Packer",
            "move it away; ./invoke images.find makes another",
        ) from error
    return {**document, "builds": list(builds)}


def noted(document: dict[str, Any], environment: str, region: str) -> Sequence[MachineImage]:
    """Return the images that Terraform takes from a manifest: the last of each kind."""
    last: dict[str, MachineImage] = {}
    for build in document["builds"]:
        where, _, ami = build["artifact_id"].partition(":")
        data = build["custom_data"]
        if data["environment"] == environment and where == region:
            last[data["image"]] = MachineImage(data["image"], ami, data.get("revision", ""), "")
    return list(last.values())


def _newest(images: Iterable[MachineImage]) -> list[MachineImage]:
    last: dict[str, MachineImage] = {}
    for image in sorted(images, key=lambda each: each.made):
        last[image.image] = image
    return [last[name] for name in IMAGES if name in last]


def _image(found: dict[str, Any]) -> MachineImage:
    tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
    return MachineImage(
        tags.get(IMAGE_TAG, ""),
        found["ImageId"],
        tags.get(REVISION_TAG, ""),
        found.get("CreationDate", ""),
    )
