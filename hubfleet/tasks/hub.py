"""Tasks for students' servers and routes, whatever the hub thinks of them."""

from hubfleet.console import Console
from hubfleet.errors import UsageError
from hubfleet.state import Deployment
from hubfleet.tasks.common import task


@task(positional=["user"], help={"user": "The student's name, as the hub shows it."})
def stop(
    console: Console,
    user: str,
    env: str | None = None,
    name: str | None = None,
    yes: bool = False,
    dry_run: bool = False,
) -> None:
    """End a student's server, and what is left of one that the hub has lost; files stay."""
    from hubfleet.healing import Healer
    from hubfleet.status import fleet_of

    deployment = Deployment.open(name, env)
    console.say(f"end the server of {user}: kernels are lost, files stay")
    if dry_run:
        return
    if not console.confirm(f"End the server of {user}?", yes):
        raise UsageError("nothing was done")
    with deployment.lock("hub.stop"):
        done = Healer(deployment, fleet_of(deployment)).stop(user)
    for line in done or [f"neither hub nor Swarm has a server of {user}"]:
        console.say(line)


@task()
def routes(
    console: Console, env: str | None = None, name: str | None = None, dry_run: bool = False
) -> None:
    """Have the hub compare the proxy's routes with its servers, and put them right."""
    from hubfleet.consistency import hub_service

    deployment = Deployment.open(name, env)
    console.say("have the hub put the proxy's routes right")
    if not dry_run:
        hub_service(deployment).check_routes()
