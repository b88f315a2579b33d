"""New keys for the Chef clients of a deployment, while nodes converge.

A private key is made where it is used: a node's on the node, those of `operator` and `bootstrap` on
this machine, and the controller's among the hub's secrets here. The new key is known to the server
before the old one is given up, so at no moment is there no good key; killed anywhere, the next run
completes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubfleet import policy
from hubfleet.chef_server import endpoint
from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_wire import ChefServerError, private_key
from hubfleet.converge import converge, require_all
from hubfleet.errors import ConvergeError, HubfleetError, PartialError, PreconditionError
from hubfleet.fleet.base import Fleet, Instance, Role
from hubfleet.parallel import run_all
from hubfleet.pki import ensure_rsa_key, fingerprint, public_pem
from hubfleet.secrets import Secret, SecretStore
from hubfleet.state import Deployment

PROGRAM = "hubfleet-rotate-key"
"""What gives a node a new key; cookbook node_base installs it."""

NODE_TIMEOUT_S = 960
"""It waits up to 900 s for a converge that is under way."""


@dataclass(frozen=True)
class Rotated:
    """What came of one node: the new key's name, or the problem."""

    instance: Instance
    key: str
    problem: str

    @property
    def row(self) -> list[object]:
        """Return the cells of COLUMNS."""
        return [self.instance.id, self.instance.role, self.key or None, self.problem or "ok"]


CLIENTS = ("operator", "bootstrap", "fleet")

CONVERGE = {"fleet": (Role.HUB, Role.CHEF_SERVER)}
"""Who converges with the new key, one after the other; beside the clients here only the server. The
server comes last: from then on it takes no other."""

COLUMNS = ("node", "role", "new key", "outcome")


def words(keys: Sequence[str], instances: Sequence[Instance], ca_steps: Sequence[str]) -> list[str]:
    """Return what a rotation does, as lines for the user."""
    lines = {
        "nodes": [f"new key for {i.role} {i.id}, made there" for i in instances],
        "operator": ["new key for operator; the Chef server converges"],
        "bootstrap": ["new key for bootstrap; the Chef server converges"],
        "fleet": ["new key for the controller; the hub converges, then the Chef server"],
        "ca": [f"certificate authority: {step}; all nodes converge" for step in ca_steps],
    }
    return [line for key in keys for line in lines[key]]


def rotate_nodes(fleet: Fleet, instances: Sequence[Instance]) -> list[Rotated]:
    """Give every one of `instances` a new key, all at once; a node's converges go on."""

    def one(instance: Instance) -> Rotated:
        done = fleet.run(instance.id, [PROGRAM], NODE_TIMEOUT_S)
        if done.returncode == 0:
            return Rotated(instance, done.stdout.strip().splitlines()[-1], "")
        words = (done.stderr or done.stdout).strip().splitlines()
        return Rotated(instance, "", words[-1] if words else f"exit code {done.returncode}")

    outcomes = run_all(one, instances)
    return [
        Rotated(instance, "", outcome.message) if isinstance(outcome, HubfleetError) else outcome
        for instance, outcome in zip(instances, outcomes, strict=True)
    ]


def require_rotated(rotated: Sequence[Rotated]) -> None:
    """Raise ConvergeError where no node has a new key, PartialError where some have none."""
    failed = [each for each in rotated if each.problem]
    if failed:
        words = "; ".join(f"{e.instance.role} {e.instance.id}: {e.problem}" for e in failed)
        kind = ConvergeError if len(failed) == len(rotated) else PartialError
        raise kind(
            f"{len(failed)} of {len(rotated)} nodes kept their keys: {words}",
            "run it again: it goes on where it was; an old node must converge first",
        )


def as_json(rotated: Sequence[Rotated]) -> list[dict[str, Any]]:
    """Return the outcomes as JSON objects."""
    return [
        {"id": e.instance.id, "role": e.instance.role.value, "key": e.key, "problem": e.problem}
        for e in rotated
    ]


def rotate_client(deployment: Deployment, fleet: Fleet, client: str) -> str:
    """Give one of CLIENTS a new key; return its name on the server.

    The embedded server takes theirs from its secrets whenever it starts, so the new public key goes
    there, and its machine converges, before the old key is given up. Raises PreconditionError,
    ChefServerError, ConvergeError or PartialError; the next run then goes on.
    """
    server = endpoint(deployment)
    if server.mode != "embedded":
        raise PreconditionError(
            f"the keys of {client} are kept by the {server.mode} Chef server",
            "change them with its own tools (knife user key, knife client key)",
        )
    current = _key_file(deployment, client)
    # Beside the operator's key: the hub's secrets travel.
    pending = deployment.operator_key.with_name(f"{client}.next.pem")
    public = public_pem(ensure_rsa_key(pending))
    name = f"key-{fingerprint(public)[:16]}"
    _add(policy.connect(deployment), client, name, public)
    _prove(deployment, client, pending)
    store = SecretStore(deployment.secrets_dir)
    store.write(Role.CHEF_SERVER, f"{client}_public_key", Secret(public))
    pending.replace(current)
    for role in CONVERGE.get(client, (Role.CHEF_SERVER,)):
        machines = [instance for instance in fleet.list() if instance.role is role]
        require_all(converge(deployment, fleet, machines))
    _forget_others(policy.connect(deployment), client, public)
    return name


def _key_file(deployment: Deployment, client: str) -> Path:
    files = {
        "operator": deployment.operator_key,
        "bootstrap": deployment.bootstrap_key,
        "fleet": SecretStore(deployment.secrets_dir).path(Role.HUB, "fleet_key"),
    }
    return files[client]


def _add(chef: Chef, client: str, name: str, public: str) -> None:
    try:
        chef.create_client_key(client, name, public)
    except ChefServerError as error:
        if error.status != 409:  # added by a run that was cut off
            raise


def _prove(deployment: Deployment, client: str, key: Path) -> None:
    """Make a call with the new key; the server must know who it is.

    `bootstrap` may read nothing: that it is refused with 403, not with 401, is the proof.
    """
    private_key(key)
    chef = Chef(deployment.chef_server_url, key, deployment.ca_crt, client)
    try:
        chef.clients()
    except ChefServerError as error:
        if error.status != 403:
            raise PreconditionError(
                f"the Chef server does not take the new key of {client}: {error.message}",
                "the old key is still in its place; run it again",
            ) from error


def _forget_others(chef: Chef, client: str, public: str) -> None:
    """Delete all keys but one that is `public`: the default one where it is, as on a first day."""
    keys = {name: chef.client_key(client, name) for name in chef.client_keys(client)}
    good = [name for name, key in keys.items() if _same(key, public)]
    keep = "default" if "default" in good else good[0]
    for name in keys:
        if name != keep:
            chef.delete_client_key(client, name)


def _same(one: str | None, other: str) -> bool:
    return one is not None and fingerprint(one) == fingerprint(other)
