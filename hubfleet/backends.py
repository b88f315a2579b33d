"""Where an environment's machines are, for commands that know only those of this machine."""

from hubfleet.errors import PreconditionError
from hubfleet.settings import Settings


def require_local(environment: str, settings: Settings) -> None:
    """Raise PreconditionError where the machines are on AWS, and say what to use there."""
    if settings.fleet.backend == "local":
        return
    raise PreconditionError(
        f"the machines of {environment} are on AWS, and this command is for deployments on this "
        "machine",
        f"see ./invoke status --env {environment}; ./invoke chef.tunnel --env {environment} leads "
        "to the Chef server, and aws ssm start-session --target ID to a machine",
    )
