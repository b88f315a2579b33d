"""Tasks for machines: list, logs."""

from hubfleet.console import Console
from hubfleet.fleet.local import find
from hubfleet.state import Deployment
from hubfleet.tasks.common import task


@task(name="list")
def list_(
    console: Console, env: str | None = None, name: str | None = None, json: bool = False
) -> None:
    """List the machines of a deployment."""
    from hubfleet.status import fleet_of

    machines = fleet_of(Deployment.open(name, env)).list()
    if json:
        console.emit_json([vars(machine) for machine in machines])
    console.table(
        ("id", "role", "state", "address", "launched", "container"),
        [
            (m.id, m.role, m.state, m.address or None, f"{m.launched_at:%F %T}", m.name)
            for m in machines
        ],
    )


@task(help={"node": "The machine's id."})
def logs(console: Console, node: str, env: str | None = None, name: str | None = None) -> None:
    """Print what a machine has written to its console since it was started."""
    from hubfleet.status import fleet_of

    fleet = fleet_of(Deployment.open(name, env))
    console.out(fleet.console_output(find(fleet.list(), node).id).rstrip())
