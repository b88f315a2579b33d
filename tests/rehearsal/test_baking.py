"""What Packer's scripts make of a machine, but for what only AWS's base image has."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubfleet import bake_inputs, images
from hubfleet.fleet.base import Role
from hubfleet.fleet.seed import new_instance_id
from hubfleet.state import ROOT, make_private_dir
from tests.rehearsal.conftest import Rehearsal
from tests.rehearsal.machines import VOLUMES, Machines

SCRIPTS = ROOT / "packer" / "scripts"
INPUTS = "/root/inputs"
CONVERGE_S = 300

POLICIES = {"node": Role.SWARM_WORKER, "chef_server": Role.CHEF_SERVER}


class Builder:
    """A machine on which an image is made."""

    def __init__(self, rehearsal: Rehearsal, image: str) -> None:
        self.cloud, self.image, self.id = rehearsal.cloud, image, new_instance_id()
        self.registry = rehearsal.cloud.stack["registry"]
        self.root = rehearsal.account.root
        assert isinstance(rehearsal.lab.fleet, Machines)
        self.machines = rehearsal.lab.fleet

    def start(self, inputs: Path) -> None:
        """Start it with what a bake uploads."""
        bake_inputs.make(inputs, [self.image], self.root)
        (archive,) = inputs.glob("*.tgz")
        make_private_dir(self.machines.volumes)
        (self.machines.volumes / archive.name).write_bytes(archive.read_bytes())
        # Neither port nor name of the Chef server: that is there already.
        self.machines.start_bare(Role.SWARM_WORKER, self.id, self.cloud.variables)
        self.do("mkdir", INPUTS)
        self.do("cp", f"{VOLUMES}/{archive.name}", f"{INPUTS}/policy.tgz")

    def script(self, name: str) -> str:
        """Run a script as packer/build.pkr.hcl does."""
        variables = {
            **self.cloud.variables,
            "HERE": INPUTS,
            "ENVIRONMENT": self.cloud.stack["environment"],
            "REGISTRY": self.registry,
            "POLICY": POLICIES[self.image].value,
        }
        given = [f"{key}={value}" for key, value in variables.items()]
        text = (SCRIPTS / name).read_text()
        return self.do("env", *given, "bash", "-c", text, name, timeout=CONVERGE_S)

    def do(self, *argv: str, timeout: float = 30) -> str:
        """Run a program on it."""
        return self.machines.do(self.id, *argv, timeout=timeout)


@pytest.fixture(params=POLICIES)
def builder(
    rehearsal: Rehearsal, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Builder]:
    made = Builder(rehearsal, request.param)
    try:
        made.start(tmp_path)
        yield made
    finally:
        made.machines.terminate(made.id)


def test_an_image_holds_what_its_machines_need_and_nothing_of_anybody(builder: Builder) -> None:
    assert "resources updated" in builder.script("030-converge")
    if builder.image == "node":
        reference = f"{builder.registry}/{images.reference('notebook')}"
        assert builder.do("docker", "images", "--quiet", reference).strip()
    else:
        builder.do("nginx", "-t")
    builder.script("090-clean")
    for path in ("/etc/chef", "/etc/hubfleet/aws.json", "/var/lib/hubfleet", INPUTS):
        builder.do("test", "!", "-e", path)
    builder.do("test", "!", "-s", "/etc/machine-id")
    assert builder.do("find", "/var/log", "-type", "f").strip() == ""
