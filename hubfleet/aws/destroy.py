"""Remove a stack on AWS; homes, backups and secrets stay, the homes only unless told otherwise."""

from hubfleet.aws import kept, states
from hubfleet.aws.stack import Stack
from hubfleet.clients.aws import Aws
from hubfleet.clients.hub_service import HubService
from hubfleet.console import Console
from hubfleet.errors import CommandError, PreconditionError
from hubfleet.fleet.base import Role
from hubfleet.parallel import run_all
from hubfleet.secrets import SecretStore
from hubfleet.settings import Settings
from hubfleet.state import Deployment

TOKEN = "fleet_api_token"
"""With it the hub's service `fleet` lists and stops servers; so does whoever takes the hub away."""


class Removal:
    """What a destroy removes, and the doing. Raises PreconditionError where there is no stack."""

    def __init__(
        self, deployment: Deployment, settings: Settings, aws: Aws, console: Console, homes: bool
    ) -> None:
        self.deployment, self.settings, self.aws = deployment, settings, aws
        self.console, self.homes = console, homes
        self.who = aws.identity()
        bucket = states.name(self.who.account, aws.region)
        if not states.exists(aws, bucket):
            raise PreconditionError(
                f"nothing of {deployment.environment} is deployed: there is no bucket {bucket}",
                "if its states are in another one, name that with AWS_STATE_BUCKET",
            )
        self.stack = Stack(deployment, aws.region, bucket)
        self.stack.init()
        self.file_system = kept.homes(aws, deployment.environment)
        if not self.stack.resources() and not (homes and self.file_system):
            raise PreconditionError(
                f"nothing of {deployment.environment} is deployed",
                "in another account or region there may be: aws sts get-caller-identity",
            )

    def words(self) -> list[str]:
        """Return what would go and what would stay, as lines for the user."""
        found = self.stack.resources()
        staying = set(kept.OF_ARTIFACTS) | (set() if self.homes else set(kept.OF_HOMES))
        going = [address for address in found if address.partition("[")[0] not in staying]
        machines = [values for address, values in found.items() if "aws_instance.this" in address]
        lines = [
            f"remove {len(going)} things of {self.deployment.environment} in {self.aws.region}"
        ]
        lines += [f"  machine {values['id']} ({values['tags']['Name']})" for values in machines]
        lines += ["  the workers, and the students' servers on them", "  images in ECR"]
        environment = self.deployment.environment
        bucket = kept.artifacts(self.aws, environment, self.who)
        homes = f"the students' homes: {self.file_system}"
        if self.file_system:
            lines += [f"  {homes}"] if self.homes else [f"keep {homes}"]
        if bucket:
            lines.append(f"keep backups of the Chef server: bucket {bucket}")
        lines.append(f"keep keys, secrets and certificate: SSM {self.settings.secrets.path}")
        return lines

    def run(self) -> None:
        """Remove it; a second time there is only left to do what an interrupted run left."""
        self.console.plan(3)
        with self.console.stage("students' servers"):
            self._stop_servers()
        with self.console.stage("what stays"):
            self._settle_what_stays()
        with self.console.stage("stack"):
            self.stack.change(destroy=True)
        if not self.homes and self.file_system:
            environment = self.deployment.environment
            self.console.say(
                f"the homes stay, {self.file_system}: the next deploy takes them back,"
            )
            self.console.say(f"./invoke destroy --env {environment} --homes removes them")

    def _settle_what_stays(self) -> None:
        staying = list(kept.OF_ARTIFACTS)
        if not self.homes:
            staying += kept.OF_HOMES
        elif self.file_system and kept.HOMES not in self.stack.resources():
            self.stack.adopt(kept.HOMES, self.file_system)
        for address in kept.let_go(self.stack, staying):
            self.console.say(f"  keep {address}")

    def _stop_servers(self) -> None:
        """Have the hub stop all servers, as it does in an orderly way; a dead hub stops none."""
        token = SecretStore(self.deployment.secrets_dir).read(Role.HUB, TOKEN)
        if token is None:
            self.console.say("  not stopped: this machine has no token of the hub; ./invoke deploy")
            return
        hub = HubService(f"https://{self.settings.fleet.aws.host}", token.reveal())
        try:
            users = sorted({server.user for server in hub.servers()})
            for outcome in run_all(hub.stop, users):
                if outcome is not None:
                    raise outcome
        except CommandError as error:
            self.console.say(f"  not stopped: {error.message}")
            return
        self.console.say(f"  {len(users)} stopped")
