"""Task that leads to the Chef server of an environment on AWS, for commands in another terminal."""

from hubfleet.console import Console
from hubfleet.errors import PreconditionError, UsageError
from hubfleet.tasks.common import task


@task()
def tunnel(console: Console, env: str | None = None) -> None:
    """Lead to the Chef server of an environment on AWS until Ctrl-C, and say what can be done."""
    from hubfleet.aws import outputs
    from hubfleet.aws import tunnel as way_there
    from hubfleet.aws.plan import on_aws
    from hubfleet.clients.aws import Aws

    if env is None:
        raise UsageError("which environment?", "./invoke chef.tunnel --env production")
    settings = on_aws(env)
    deployment = way_there.recorded(env)
    if deployment is None:
        raise PreconditionError(
            f"this machine has no keys of {env}", f"./invoke deploy --env {env} brings them here"
        )
    aws = Aws(settings.fleet.aws.region)
    if settings.chef_server.mode == "external":
        console.say(f"{settings.chef_server.external.url} is reached without a tunnel")
        return
    stack = outputs.require(env, aws)
    with way_there.chef_server(deployment, settings, aws, stack) as way:
        for line in way_there.words(deployment):
            console.say(line)
        if way is None:
            console.say("it is led by another tunnel, which stays")
        else:
            console.say("until Ctrl-C")
            way.hold()
