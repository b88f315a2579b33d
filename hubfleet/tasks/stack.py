"""Tasks for a whole deployment: deploy, status, doctor, verify, converge, destroy."""

from hubfleet.console import Console
from hubfleet.errors import PreconditionError, UsageError
from hubfleet.fleet.local import find
from hubfleet.state import Deployment, resolve_name
from hubfleet.tasks.common import task, whole_number


@task(
    help={
        "port": "First of three ports in a row (default: those of the environment).",
        "yes": "Do not ask before something on AWS is replaced or removed.",
        "dirty_ok": "Also publish to AWS from files that are not committed.",
    }
)
def deploy(
    console: Console,
    env: str | None = None,
    name: str | None = None,
    port: str | None = None,
    yes: bool = False,
    dirty_ok: bool = False,
    dry_run: bool = False,
) -> None:
    """Bring the whole system up, or up to date: it changes only what differs."""
    from hubfleet.aws import commands
    from hubfleet.aws.deploy import Consent
    from hubfleet.deploy import deploy as run

    first = whole_number("--port", port)
    if not (env and commands.on_aws(env)):
        run(console, name, env, first, dry_run)
        return
    if first is not None:
        raise UsageError("--port is for deployments on this machine")
    if dry_run:
        _plan_on_aws(console, env)
        return
    commands.deploy(console, commands.choose(name, env), Consent(yes, dirty_ok))


def _plan_on_aws(console: Console, environment: str) -> None:
    from hubfleet.aws import plan
    from hubfleet.clients.aws import Aws

    settings = plan.on_aws(environment)
    question = plan.Question(plan.STUDENTS, "", None)
    found = plan.make(environment, settings, question, Aws(settings.fleet.aws.region))
    console.out(plan.as_text(found))


@task(help={"watch": "Show it again every two seconds, until Ctrl-C."})
def status(
    console: Console,
    env: str | None = None,
    name: str | None = None,
    json: bool = False,
    watch: bool = False,
) -> None:
    """Show machines, policy revisions, last converges, the Swarm, the hub, certificates."""
    from hubfleet import status as view
    from hubfleet.settings import load

    if json and watch:
        raise UsageError("--json and --watch exclude each other")
    if env and load(env).fleet.backend == "aws":
        if name not in (None, env):
            raise UsageError("--name is for deployments on this machine")
        _status_on_aws(console, env, json, watch)
        return
    deployment = Deployment.open(name, env)
    fleet = view.fleet_of(deployment)
    if watch:
        view.watch(console, lambda: view.status(deployment, fleet))
    found = view.status(deployment, fleet)
    if json:
        console.emit_json(found)
    else:
        view.show(console, found)


def _status_on_aws(console: Console, environment: str, json: bool, watch: bool) -> None:
    from hubfleet.aws import outputs, tunnel
    from hubfleet.aws import status as view
    from hubfleet.clients.aws import Aws
    from hubfleet.settings import load

    settings = load(environment)
    aws = Aws(settings.fleet.aws.region)
    stack = outputs.require(environment, aws)
    here = tunnel.recorded(environment)
    if watch:
        view.watch(console, environment, settings, stack, aws, here)
    found = view.status(environment, settings, stack, aws, here)
    if json:
        console.emit_json(found)
    else:
        view.show(console, found)


@task(help={"fix": "Heal what ends nothing that anybody uses, after asking."})
def doctor(
    console: Console,
    env: str | None = None,
    name: str | None = None,
    fix: bool = False,
    yes: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Check this machine, and whether the parts of the deployment agree; each cure is named."""
    from hubfleet import doctor as checks
    from hubfleet import treatment
    from hubfleet.deploy import choose
    from hubfleet.settings import load

    if env and load(env).fleet.backend == "aws":
        if fix or name:
            raise UsageError("--fix and --name are for deployments on this machine")
        _doctor_on_aws(console, env, json)
        return
    deployment = choose(name, env, None)
    settings = load(deployment.environment)
    found = checks.examine(deployment, settings)
    diagnosis = treatment.diagnose(deployment, settings)
    if not json:
        checks.show(console, found)
        treatment.show(console, diagnosis)
    if fix:
        before = diagnosis
        diagnosis = treatment.treat(console, deployment, settings, before, yes=yes, dry_run=dry_run)
        if diagnosis is not before and not json:
            treatment.show(console, diagnosis)
    if json:
        console.emit_json(treatment.as_json(found, diagnosis))
    treatment.require_healthy(found, diagnosis)


def _doctor_on_aws(console: Console, environment: str, json: bool) -> None:
    from hubfleet import doctor as checks
    from hubfleet.aws.checks import examine
    from hubfleet.clients.aws import Aws
    from hubfleet.settings import load

    settings = load(environment)
    found = examine(environment, settings, Aws(settings.fleet.aws.region))
    if json:
        console.emit_json(checks.as_json(found))
    else:
        checks.show(console, found)
    failed = [check for check in found if check.verdict is checks.Verdict.FAIL]
    if failed:
        words = ", ".join(check.name for check in failed)
        raise PreconditionError(f"to be put right: {words}", failed[0].fix)


@task()
def verify(
    console: Console, env: str | None = None, name: str | None = None, json: bool = False
) -> None:
    """Look at every node, probe the isolation, and let a student run a cell."""
    from hubfleet import verify as verification

    found = verification.verify(Deployment.open(name, env), console)
    if json:
        console.emit_json(verification.as_json(found))
    verification.require_all(found)


@task(help={"node": "Only this machine, by its id."})
def converge(
    console: Console,
    env: str | None = None,
    name: str | None = None,
    node: str | None = None,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Run chef-client on every node at once, or on one; what a rollout holds is left out."""
    from hubfleet import converge as chef
    from hubfleet import holds
    from hubfleet.status import fleet_of

    deployment = Deployment.open(name, env)
    fleet = fleet_of(deployment)
    nodes = [find(fleet.list(), node)] if node else fleet.list()
    held = {} if node else holds.read_all(fleet, nodes)
    for machine in (machine for machine in nodes if machine.id in held):
        console.say(f"skip {machine.role} {machine.id}: {held[machine.id].words}")
    nodes = [machine for machine in nodes if machine.id not in held]
    if dry_run:
        for machine in nodes:
            console.say(f"run chef-client on {machine.role} {machine.id}")
        return
    with deployment.lock("converge"):
        results = chef.converge(deployment, fleet, nodes)
    if json:
        console.emit_json(chef.as_json(results))
    else:
        chef.show(console, results)
    chef.require_all(results)


@task(help={"homes": "Remove the students' homes too."})
def destroy(
    console: Console,
    env: str | None = None,
    name: str | None = None,
    homes: bool = False,
    yes: bool = False,
    dry_run: bool = False,
) -> None:
    """Remove a deployment; the students' homes stay unless told otherwise."""
    from hubfleet import destroy as removal
    from hubfleet.aws import commands

    if env and commands.on_aws(env):
        chosen = commands.choose(name, env)
        commands.destroy(console, chosen, homes=homes, yes=yes, dry_run=dry_run)
        return
    deployment = removal.target(resolve_name(name, env))
    for line in removal.words(deployment, homes):
        console.say(line)
    if dry_run:
        return
    if not console.confirm(f"Remove deployment {deployment.name!r}?", yes):
        raise UsageError("nothing was removed")
    removal.destroy(deployment, console, homes)
