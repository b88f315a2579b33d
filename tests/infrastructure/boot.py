"""Run a machine's first steps: what user-data writes, then hubfleet-seed-aws, in a directory."""

import os
import re
from pathlib import Path

from hubfleet.clients import process
from hubfleet.state import ROOT
from tests.infrastructure.machine import INSTANCE, Surroundings

SEED = ROOT / "images" / "node" / "hubfleet-seed-aws"

STAND_INS = {
    "systemctl": 'echo "systemctl $*" >> "$HUBFLEET_ROOT/calls"; exit "${BOOTSTRAP_CODE:-0}"',
    "hostname": 'echo "hostname $*" >> "$HUBFLEET_ROOT/calls"',
}
"""What would change the machine that runs the test: its services and its name."""


class Machine:
    """A machine whose root is a directory."""

    def __init__(self, root: Path, around: Surroundings) -> None:
        self.root, self.around = root, around
        (root / "etc" / "hubfleet").mkdir(parents=True)
        (root / "bin").mkdir()
        for name, line in STAND_INS.items():
            (root / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
            (root / "bin" / name).chmod(0o755)

    def take_user_data(self, text: str) -> None:
        """Run user-data, with its paths under this machine's root."""
        script = re.sub(r"(?<=[ ])/etc/hubfleet", f"{self.root}/etc/hubfleet", text)
        process.run(["sh", "-c", script], env=self.env, timeout=20)

    def seed(self, code: int = 0, deadline_s: int = 20) -> process.Completed:
        """Run the seed; the bootstrap that it starts ends with `code`."""
        limits = {"HUBFLEET_SEED_DEADLINE_S": str(deadline_s), "HUBFLEET_SEED_PAUSE_S": "1"}
        env = {**self.env, **limits, "BOOTSTRAP_CODE": str(code)}
        return process.run([SEED], env=env, timeout=120, check=False)

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "HUBFLEET_ROOT": str(self.root),
            "AWS_ENDPOINT_URL": self.around.address,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.around.address,
        }

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    @property
    def settings(self) -> dict[str, str]:
        """Return the seed's file for the bootstrap."""
        lines = self.read("var/lib/hubfleet/seed/bootstrap.conf").splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def hooks(self) -> list[tuple[str, str, str]]:
        """Return what was answered, as group, hook and result; all are about this machine."""
        assert {each["InstanceId"] for each in self.around.hooks} <= {INSTANCE}
        keys = ("AutoScalingGroupName", "LifecycleHookName", "LifecycleActionResult")
        return [(each[keys[0]], each[keys[1]], each[keys[2]]) for each in self.around.hooks]
