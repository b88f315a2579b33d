"""Tasks for machines: list, logs, drain, forget; faults for drills."""

from hubfleet.console import Console
from hubfleet.errors import UsageError
from hubfleet.fleet.local import find
from hubfleet.state import Deployment
from hubfleet.tasks.common import task, whole_number


@task(name="list")
def list_(
    console: Console, env: str | None = None, name: str | None = None, json: bool = False
) -> None:
    """List the machines of a deployment, and how long each worker took until it was ready."""
    from hubfleet.machines import machines
    from hubfleet.status import fleet_of

    deployment = Deployment.open(name, env)
    found = machines(deployment, fleet_of(deployment))
    if json:
        console.emit_json([machine.as_json() for machine in found])
    console.table(
        ("id", "role", "state", "address", "launched", "ready in", "of which (s)"),
        [
            (
                m.instance.id,
                m.instance.role,
                m.instance.state,
                m.instance.address or None,
                f"{m.instance.launched_at:%F %T}",
                None if m.ready_s is None else f"{m.ready_s:.0f} s",
                m.words or None,
            )
            for m in found
        ],
    )


@task(help={"node": "The machine's id."})
def logs(console: Console, node: str, env: str | None = None, name: str | None = None) -> None:
    """Print what a machine has written to its console since it was started."""
    from hubfleet.status import fleet_of

    fleet = fleet_of(Deployment.open(name, env))
    console.out(fleet.console_output(find(fleet.list(), node).id).rstrip())


@task(
    help={
        "kind": "spot, rebalance, kill, boot-failure, no-capacity or message.",
        "node": "The worker's id; spot, rebalance and kill need it.",
        "pool": "The pool that has none left, for no-capacity.",
        "seconds": "How long it has none.",
        "count": "How many of the next workers fail to boot, for boot-failure.",
        "body": "What the message says, for message; whatever it is.",
    },
)
def inject(
    console: Console,
    kind: str,
    node: str = "",
    pool: str = "default",
    seconds: str = "300",
    count: str = "1",
    body: str = "",
    env: str | None = None,
    name: str | None = None,
    yes: bool = False,
    dry_run: bool = False,
) -> None:
    """Let something go wrong with the local fleet: a drill."""
    from hubfleet.fleet import faults

    numbers = (whole_number("--seconds", seconds), whole_number("--count", count))
    fault = faults.fault(kind, node, pool, numbers[0] or 0, numbers[1] or 0, body)
    console.say(fault.words)
    deployment = Deployment.open(name, env)
    if dry_run:
        return
    if fault.ends and not console.confirm("Servers on it are lost. Do it?", yes):
        raise UsageError("nothing was done")
    fault.act(faults.connect(deployment))


@task()
def dead(
    console: Console, env: str | None = None, name: str | None = None, json: bool = False
) -> None:
    """List the messages of the local fleet that nobody could handle."""
    from hubfleet.fleet.faults import connect

    found = connect(Deployment.open(name, env)).dead_letters()
    if json:
        console.emit_json(found)
    console.table(
        ("id", "deliveries", "body"), [(m["id"], m["receives"], m["body"]) for m in found]
    )


@task(
    positional=["node"],
    help={"node": "The worker's id.", "undo": "Open it again, and keep it."},
)
def drain(
    console: Console,
    node: str,
    undo: bool = False,
    env: str | None = None,
    name: str | None = None,
    yes: bool = False,
    dry_run: bool = False,
) -> None:
    """Take one worker out: it gets no new servers, and ends when its last one has ended."""
    from hubfleet.healing import Healer
    from hubfleet.status import fleet_of

    deployment = Deployment.open(name, env)
    healer = Healer(deployment, fleet_of(deployment))
    machine = find(healer.fleet.list(), node).id
    healer.members(machine)
    does = "open it again" if undo else "close it to new servers; the controller ends it when empty"
    console.say(f"{machine}: {does}")
    if dry_run:
        return
    if not undo and not console.confirm(f"Take {machine} out?", yes):
        raise UsageError("nothing was done")
    with deployment.lock("fleet.drain"):
        console.say(healer.undrain(machine) if undo else healer.drain(machine))


@task(positional=["node"], help={"node": "The id of a worker that is gone."})
def forget(
    console: Console,
    node: str,
    env: str | None = None,
    name: str | None = None,
    yes: bool = False,
    dry_run: bool = False,
) -> None:
    """Remove what a worker that is gone has left in the Swarm and on the Chef server."""
    from hubfleet.healing import Healer
    from hubfleet.status import fleet_of

    deployment = Deployment.open(name, env)
    healer = Healer(deployment, fleet_of(deployment))
    remains = healer.remains(node)
    for line in remains.words:
        console.say(line)
    if dry_run:
        return
    if not console.confirm(f"Forget {node}?", yes):
        raise UsageError("nothing was done")
    with deployment.lock("fleet.forget"):
        console.say(healer.forget(remains))
