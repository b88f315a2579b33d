"""Tasks for keys: rotate them, revoke a node's."""

from hubfleet.console import Console
from hubfleet.errors import UsageError
from hubfleet.fleet.local import find
from hubfleet.state import Deployment
from hubfleet.tasks.common import task

KEYS = ("nodes", "operator", "bootstrap", "fleet", "ca")


@task(
    positional=["key"],
    help={
        "key": "What gets a new key: nodes, operator, bootstrap, fleet, ca, or all.",
        "node": "With `nodes`: only this machine, by its id.",
    },
)
def rotate(
    console: Console,
    key: str = "all",
    node: str | None = None,
    env: str | None = None,
    name: str | None = None,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Give nodes, operator, bootstrap, controller and authority new keys; converges go on."""
    from hubfleet import ca_rotation, rotation
    from hubfleet.settings import load
    from hubfleet.status import fleet_of

    if key not in {*KEYS, "all"}:
        raise UsageError(f"there is no key {key!r}", f"keys: {', '.join(KEYS)}, or all")
    if node and key != "nodes":
        raise UsageError("--node goes with `nodes` only")
    deployment = Deployment.open(name, env)
    fleet = fleet_of(deployment)
    nodes = [find(fleet.list(), node)] if node else fleet.list()
    chosen = KEYS if key == "all" else (key,)
    ca = ca_rotation.CaRotation(deployment, load(deployment.environment), fleet, console)
    if dry_run:
        for line in rotation.words(chosen, nodes, [title for title, _ in ca.steps()]):
            console.say(line)
        return
    with deployment.lock("chef.rotate"):
        if "nodes" in chosen:
            rotated = rotation.rotate_nodes(fleet, nodes)
            if json:
                console.emit_json(rotation.as_json(rotated))
            else:
                console.table(rotation.COLUMNS, [each.row for each in rotated])
            rotation.require_rotated(rotated)
        for client in rotation.CLIENTS:
            if client in chosen:
                made = rotation.rotate_client(deployment, fleet, client)
                console.say(f"{client}: new key {made}; the old one is refused")
        if "ca" in chosen:
            ca.run()
            console.say(f"browsers and other machines must trust the new CA: {deployment.ca_crt}")


@task(
    positional=["node"],
    help={"node": "The machine's id.", "terminate": "End the machine too, with what runs there."},
)
def revoke(
    console: Console,
    node: str,
    terminate: bool = False,
    env: str | None = None,
    name: str | None = None,
    yes: bool = False,
    dry_run: bool = False,
) -> None:
    """Refuse a node's key from now on, and keep it from new servers."""
    from hubfleet import revocation
    from hubfleet.status import fleet_of

    deployment = Deployment.open(name, env)
    fleet = fleet_of(deployment)
    machine = revocation.check(deployment, fleet, node)
    for line in revocation.words(node, machine, terminate):
        console.say(line)
    if dry_run:
        return
    if not console.confirm(f"Revoke {node}?", yes):
        raise UsageError("nothing was changed")
    with deployment.lock("chef.revoke"):
        revocation.revoke(deployment, fleet, console, node, terminate)
