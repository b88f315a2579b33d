"""What a node is given before its first start: identity, certificate authority, bootstrap key."""

import secrets
from pathlib import Path

from hubfleet.chef_server import Endpoint, endpoint, trust
from hubfleet.fleet.base import Role
from hubfleet.settings import Settings
from hubfleet.state import Deployment, make_private_dir, write_private

MOUNT = "/var/lib/hubfleet/seed"
"""Where a node finds its seed."""


def new_instance_id() -> str:
    """Return an id like EC2's: `i-` and 17 hexadecimal digits."""
    return f"i-{secrets.token_hex(9)[:17]}"


def policy_archive(deployment: Deployment) -> Path:
    """Return the path of the archive from which the Chef server converges before it serves."""
    return deployment.dir / "chef" / "chef_server.tgz"


def bootstrap_conf(deployment: Deployment, settings: Settings, role: Role, instance_id: str) -> str:
    """Return `bootstrap.conf`, lines KEY=value without quotes: the bootstrap refuses odd values."""
    server = endpoint(deployment, settings)
    values = {
        "NODE_NAME": instance_id,
        "POLICY_NAME": role.value,
        "POLICY_GROUP": deployment.environment,
        "CHEF_SERVER_URL": server.node_url,
        "BOOTSTRAP_CLIENT": server.bootstrap,
    }
    if _is_the_server(role, server):
        values["LOCAL_POLICY"] = f"{MOUNT}/policy.tgz"
    return "".join(f"{key}={value}\n" for key, value in values.items())


def write_seed(deployment: Deployment, settings: Settings, role: Role, instance_id: str) -> None:
    """Write the seed directory of a node."""
    directory = deployment.node_dir(instance_id)
    make_private_dir(directory)
    conf = bootstrap_conf(deployment, settings, role, instance_id)
    write_private(directory / "ca.crt", trust(deployment, settings))
    write_private(directory / "bootstrap.pem", deployment.bootstrap_key.read_bytes())
    if _is_the_server(role, endpoint(deployment, settings)):
        write_private(directory / "policy.tgz", policy_archive(deployment).read_bytes())
    write_private(directory / "bootstrap.conf", conf)


def _is_the_server(role: Role, server: Endpoint) -> bool:
    """Say whether a machine cannot ask a Chef server for its first policy: it will be that one."""
    return role is Role.CHEF_SERVER and not server.external
