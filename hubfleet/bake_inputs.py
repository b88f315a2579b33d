"""What Packer uploads to the machine that an image is made on: packer/build.pkr.hcl, var.inputs.

All of it is made by the locks of the checkout, as the node's container image is: the list of gems,
an archive of the policy whose run list `image` is converged, for a workstation the checkout itself.
"""

import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from hubfleet import policy
from hubfleet.clients import git
from hubfleet.fleet.base import Role
from hubfleet.image_inputs import node_gems

POLICIES: Mapping[str, str] = {
    "node": Role.SWARM_WORKER.value,
    "chef_server": Role.CHEF_SERVER.value,
}
"""The policy that each image is converged by; the hub's machine starts from a worker's image."""

WORKSTATION = "workstation"

IMAGES = (*POLICIES, WORKSTATION)
"""All images that packer/build.pkr.hcl makes."""


def make(target: Path, images: Iterable[str], root: Path) -> list[Path]:
    """Write into the empty folder `target` what the images need, and return the files.

    Raises SettingsError where Gemfile.lock is incomplete, PreconditionError where a policy's lock
    is stale.
    """
    gems = target / "gems.txt"
    gems.write_text("".join(f"{name} {version}\n" for name, version in node_gems(root)))
    made = [gems]
    for image in images:
        if image == WORKSTATION:
            made.append(_checkout(target / "checkout.tgz", root))
        else:
            made.append(_policy(target, POLICIES[image], root))
    return made


def _policy(target: Path, name: str, root: Path) -> Path:
    """Write an archive of the policy; packer/scripts/030-converge gives the group its real name."""
    archive = target / f"{name}.tgz"
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        shutil.move(policy.export(name, Path(scratch), root=root), archive)
    return archive


def _checkout(archive: Path, root: Path) -> Path:
    """Write all files that a clone would have, as they are here."""
    with tarfile.open(archive, "w:gz") as tar:
        for name in git.files(root):
            tar.add(root / name, arcname=name, recursive=False)
    return archive
