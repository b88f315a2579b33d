"""An account whose machines are real: node containers, which a deploy brings up as on AWS.

The environment is like `staging`, but for what a container lacks: homes are a directory, since no
file system of EFS is to be had, and students sign up, since no provider logs them in. Pebble issues
its certificate.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hubfleet import policy
from hubfleet.aws import arrival
from hubfleet.clients.aws import Aws
from hubfleet.clients.registry import Registry
from hubfleet.clients.web import get_json
from hubfleet.machine_images import MANIFEST
from hubfleet.settings_documents import merge
from hubfleet.state import ROOT
from tests.infrastructure.account import Account
from tests.rehearsal import authority
from tests.rehearsal.machines import Driver
from tests.rehearsal.registry import Repositories, Writing

LIKE = "staging"
NAME = "rehearsal"
ZONE = f"{NAME}.hubfleet.internal"
PATIENCE_S = 300
"""Machines come up sooner here than on AWS."""

TEACHER = "teacher"
"""An administrator, who needs nobody's word to sign up."""

MORE = 2
"""Workers at most."""

OTHERWISE = {
    "fleet": {
        "zone": ZONE,
        "workers": {"min": 0, "max": MORE},
        "aws": {"host": f"hub.{NAME}.example.org"},
    },
    "hub": {"authenticator": "native", "admin_users": [TEACHER], "oauth": {"callback_url": ""}},
    "secrets": {"path": f"/hubfleet/{NAME}"},
    "storage": {"type": "bind", "nfs": {"server": f"homes.{ZONE}"}},
    "swarm": {"interface": "eth0"},
    "tls": {"acme": {"directory": authority.directory(ZONE)}},
    # No seat is kept free: workers come for students who wait, and go with them.
    "autoscaler": {
        "hold_s": 10,
        "headroom": {"seats": 0, "z": 0.0, "rate_window_s": 30},
        "ready": {"prior_s": 20},
    },
}


class Rehearsed(Account):
    """The account; `moto`, `repositories` and `driver` are set before anything is deployed."""

    environment = NAME
    poll_s = 1.0
    repositories: Repositories
    driver: Driver

    def fill_checkout(self) -> None:
        """Add the environment, and bring the locks of all policies up to date with it."""
        super().fill_checkout()
        document = json.loads((ROOT / "environments" / f"{LIKE}.json").read_text())
        document["name"] = NAME
        document["default_attributes"] = merge(document["default_attributes"], OTHERWISE)
        (self.root / "environments" / f"{NAME}.json").write_text(json.dumps(document))
        override = Path(__file__).with_name("rehearsal_override.tf")
        shutil.copy(override, self.root / "terraform")
        policy.update(root=self.root)

    def forget_machine_images(self) -> None:
        """Have the next deploy take the newest, as on a machine that has baked nothing."""
        (self.root / MANIFEST).unlink()

    @contextmanager
    def forward(self, aws: Aws, instance_id: str, port: int, local_port: int) -> Iterator[None]:
        """Play Session Manager: the container has its port on this machine."""
        assert (port, local_port) == (443, self.deployment.ports.chef)
        self.driver.check()
        yield

    def ask_hub(self, url: str, *words: Any, **named: Any) -> object:
        """Ask the hub itself, whose name leads nowhere."""
        assert url == f"https://{self.settings.fleet.aws.host}/hub/health"
        self.driver.check()
        return get_json(f"{self.deployment.url}/hub/health", self.deployment.ca_crt)

    def shelf(self, aws: Aws, address: str) -> Registry:
        """Return the registry that stands in for ECR, which moto's ECR shall know of."""
        given = super().shelf(aws, address)
        return Writing(given.address, None, given.user, given.password, self.repositories)

    def play_images(self, patch: pytest.MonkeyPatch) -> None:
        """Play nothing: images are those of this checkout."""
        patch.setattr(arrival, "CHEF_TIMEOUT_S", PATIENCE_S)
        patch.setattr(arrival, "HUB_TIMEOUT_S", PATIENCE_S)
