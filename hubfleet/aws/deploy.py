"""The numbered stages of a deploy on AWS.

Every stage finds out for itself what is missing, so a deploy that was interrupted anywhere is
completed by the next one, on this machine or another. What is needed by something else comes before
it: registry, images, machine images, Chef server, policies, then all the rest.
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hubfleet import backup, identity, images, leftovers, policy
from hubfleet.aws import arrival, changes, checks, kept, secrets, states, supplies
from hubfleet.aws.changes import Change
from hubfleet.aws.stack import Stack
from hubfleet.chef_server import endpoint
from hubfleet.clients.aws import Aws, Identity
from hubfleet.console import Console
from hubfleet.doctor import require
from hubfleet.errors import UsageError
from hubfleet.fleet.aws_names import AwsNames
from hubfleet.history import What
from hubfleet.publication import Publisher, require_committed
from hubfleet.settings import Settings
from hubfleet.stages import Stage
from hubfleet.state import Deployment

FOUNDATION = (
    "aws_ecr_repository.this",
    kept.ARTIFACTS,
    "aws_s3_bucket_policy.artifacts",
    "aws_s3_bucket_public_access_block.artifacts",
    "aws_s3_bucket_server_side_encryption_configuration.artifacts",
    "aws_s3_bucket_versioning.artifacts",
)
"""Where images and the Chef server's policy are put before there is a machine that wants them."""

CHEF_SERVER = 'aws_instance.this["chef_server"]'

MACHINES = frozenset({CHEF_SERVER, 'aws_instance.this["hub"]'})

CHEF_TARGETS = (
    CHEF_SERVER,
    'aws_volume_attachment.state["chef_server"]',
    'aws_service_discovery_instance.machine["chef_server"]',
)
"""The Chef server's machine with its data and its name; Terraform adds what these need."""

LOSES = frozenset({"remove", "replace"})
"""Actions that end what somebody may be using."""


@dataclass(frozen=True)
class Consent:
    """What the operator agreed to in advance."""

    yes: bool = False
    """Removals and replacements in the stack."""
    dirty: bool = False
    """Policies from files that nobody has committed; the history records it."""


class Deploy:
    """One run of the stages."""

    def __init__(
        self, deployment: Deployment, settings: Settings, aws: Aws, console: Console, ok: Consent
    ) -> None:
        self.deployment, self.settings, self.aws = deployment, settings, aws
        self.console, self.ok = console, ok
        self.publisher = Publisher(deployment, What.DEPLOY)
        self._ends_machines = False

    @cached_property
    def who(self) -> Identity:
        """Whose account this is."""
        return self.aws.identity()

    @cached_property
    def bucket(self) -> str:
        """The bucket of states."""
        return states.name(self.who.account, self.aws.region)

    @property
    def archives(self) -> str:
        """The bucket of policies and backups, a part of the foundation."""
        return AwsNames(self.deployment.environment).artifacts(self.who.account, self.aws.region)

    @cached_property
    def stack(self) -> Stack:
        """Terraform's stack, connected with its state."""
        stack = Stack(self.deployment, self.aws.region, self.bucket)
        stack.init()
        return stack

    def run(self) -> None:
        """Run all stages and say where everything is."""
        started = time.monotonic()
        stages = self.stages()
        for done, stage in enumerate(stages):
            if stage.title == "machine images":
                self._bake()
            self.console.plan(len(stages), done)
            with self.console.stage(stage.title):
                for line in stage.plan():
                    self.console.say(f"  {line}")
                stage.act()
        self._say_goodbye(time.monotonic() - started)

    def stages(self) -> list[Stage]:
        """Return the stages in their order."""
        return [
            Stage("preflight", _nothing, self._preflight),
            Stage("state", self._plan_state, self._state),
            Stage("secrets", _nothing, self._secrets),
            Stage("foundation", _nothing, self._foundation),
            Stage("images", self._plan_images, self._images),
            Stage("machine images", _nothing, self._machine_images),
            Stage("chef server", _nothing, self._chef_server),
            Stage("stack", _nothing, lambda: self.stack.change(agree=self._agree)),
            Stage("check", self._plan_check, self._check),
        ]

    def _preflight(self) -> None:
        require_committed(self.deployment, self.ok.dirty)
        policy.require_fresh(self.deployment.root)
        chosen = self.deployment
        found = checks.examine(chosen.environment, self.settings, self.aws, chosen.root)
        # Those are made by the stages that follow.
        later = {"machine images", "state"}
        require(self.console, [check for check in found if check.name not in later])
        Deployment.create(chosen.name, chosen.environment, chosen.ports, chosen.root)

    def _plan_state(self) -> list[str]:
        return [] if states.exists(self.aws, self.bucket) else [f"make the bucket {self.bucket}"]

    def _state(self) -> None:
        states.ensure(self.aws, self.bucket)
        self.stack.resources()  # held by nobody, and read without an error

    def _secrets(self) -> None:
        self._synchronize()
        for role in identity.ensure(self.deployment, self.settings):
            self.console.say(f"  new certificate for {role}")
        self._synchronize()
        secrets.publish_trust(self.deployment, self.settings, self.aws)

    def _synchronize(self) -> None:
        done = secrets.synchronize(self.deployment, self.settings, self.aws)
        for names, what in ((done.fetched, "fetched from"), (done.kept, "kept in")):
            if names:
                self.console.say(f"  {len(names)} secrets {what} SSM")

    def _foundation(self) -> None:
        kept.adopt(self.stack, self.aws, self.who, self.console)
        known = {address.partition("[")[0] for address in self.stack.whole()}
        if not known.issuperset(FOUNDATION):
            self.stack.change(FOUNDATION, agree=self._agree)

    def _plan_images(self) -> list[str]:
        lacking = supplies.lacking_images(self.aws, self.deployment)
        return [f"publish {images.reference(name, self.deployment.root)}" for name in lacking]

    def _images(self) -> None:
        supplies.bring_images(self.aws, self.deployment, self.console)

    def _bake(self) -> None:
        """Make machine images that the account lacks, in stages of their own."""
        missing = supplies.missing_machine_images(self.aws, self.deployment, self.settings)
        if missing:
            self.console.say(f"bake {', '.join(missing)}: half an hour is usual")
            supplies.bake_machine_images(self.deployment, missing, self.console)

    def _machine_images(self) -> None:
        environment, root = self.deployment.environment, self.deployment.root
        for image, ami in checks.chosen_images(environment, self.aws.region, root).items():
            self.console.say(f"  {image}: {ami}")

    def _chef_server(self) -> None:
        server = endpoint(self.deployment, self.settings)
        if not server.external:
            supplies.bring_policy(self.aws, self.deployment, self.archives)
            if not self.stack.whole().issuperset(CHEF_TARGETS):
                self.stack.change(CHEF_TARGETS, agree=self._agree)
        with self._at_chef_server():
            for change in self.publisher.push():
                if change.changed:
                    self.console.say(f"  policy {change.policy} {change.new[:10]} is published")
            self._forget()
            if server.mode == "embedded" and self.publisher.published:
                self._back_up()

    def _forget(self) -> None:
        """Have the Chef server forget machines that are no more."""
        external = endpoint(self.deployment, self.settings).external
        leftovers.forget_all_but(self.deployment, self._alive, external)

    def _back_up(self) -> None:
        made = backup.after_deploy(self.deployment, self.console)
        # The first one has made the passphrase of all.
        self._synchronize()
        if made is not None:
            supplies.keep_backup(self.aws, self.archives, made.file)

    def _alive(self) -> set[str]:
        return arrival.alive(self.aws, self.deployment.environment)

    def _at_chef_server(self) -> AbstractContextManager[None]:
        found: Any = self.stack.resources().get(CHEF_SERVER, {})
        machines = {"chef_server": found.get("id", "")}
        return arrival.at_chef_server(
            self.deployment, self.settings, self.aws, machines, self.console
        )

    def _agree(self, found: Sequence[Change]) -> None:
        """Say what will change; what ends something in use is asked for."""
        for line in changes.summary(found):
            self.console.say(f"  {line}")
        losses = [change for change in found if change.action in LOSES]
        if not losses:
            return
        self._ends_machines = any(change.address in MACHINES for change in losses)
        what = ", ".join(f"{change.action} {change.address}" for change in losses)
        if not self.console.confirm(f"Students may be using it: {what}. Go on?", self.ok.yes):
            raise UsageError("the stack stays as it is", "deploy when nobody works, or with --yes")

    def _plan_check(self) -> list[str]:
        return [f"ask https://{self.settings.fleet.aws.host} whether all is well"]

    def _check(self) -> None:
        arrival.await_hub(self.deployment, self.settings, self.console)
        if self._ends_machines:
            with self._at_chef_server():
                self._forget()

    def _say_goodbye(self, seconds: float) -> None:
        environment, client = self.deployment.environment, self.settings.chef_client
        latest = (client.interval_s + client.splay_s) / 60
        say = self.console.say
        say(f"deployed in {seconds / 60:.0f} min")
        say(f"hub:     https://{self.settings.fleet.aws.host}")
        if self.publisher.published:
            say(f"         machines that were there converge by themselves within {latest:.0f} min")
        say(f"state:   {self.bucket}; keys and secrets in SSM and {self.deployment.dir}")
        say(f"next:    ./invoke status --env {environment} | destroy --env {environment}")


def _nothing() -> list[str]:
    return []
