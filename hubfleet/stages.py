"""The numbered stages of a deploy.

Every stage finds out for itself what is missing, so a deploy that was interrupted anywhere, even
killed, is completed by the next one.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hubfleet import (
    backup,
    bringup,
    doctor,
    identity,
    image_publish,
    images,
    leftovers,
    policy,
    rolling,
    swarm,
)
from hubfleet.bringup import Plan, Waiter
from hubfleet.chef_server import endpoint
from hubfleet.clients import docker
from hubfleet.clients.registry import Registry
from hubfleet.clients.web import get_json
from hubfleet.console import Console
from hubfleet.converge import Result, converge, require_all
from hubfleet.doctor import Check, Verdict
from hubfleet.errors import CommandError, HubfleetError
from hubfleet.fleet import service_container
from hubfleet.fleet.base import Instance, Role, State
from hubfleet.fleet.local import LocalFleet
from hubfleet.fleet.seed import policy_archive
from hubfleet.history import What
from hubfleet.publication import Publisher
from hubfleet.secrets import SecretStore
from hubfleet.settings import Settings
from hubfleet.state import Deployment, make_private_dir, write_private
from hubfleet.steady import steady

SERVER_TIMEOUT_S = {"embedded": 300, "install": 1200, "external": 300}
"""By chef_server.mode; an Infra Server unpacks some hundred MB and sets up its databases."""

CHECK_TIMEOUT_S = 120


@dataclass(frozen=True)
class Summary:
    """What a deploy did."""

    url: str
    seconds: float
    launched: int
    updated: int
    """Resources that chef-client updated on the nodes that were there before."""


@dataclass(frozen=True)
class Stage:
    """One numbered stage: what it would do, in words, and the doing."""

    title: str
    plan: Callable[[], Sequence[str]]
    act: Callable[[], None]


class Deploy:
    """One run of the stages."""

    def __init__(self, deployment: Deployment, settings: Settings, console: Console) -> None:
        self.deployment = deployment
        self.settings = settings
        self.server = endpoint(deployment, settings)
        self.console = console
        image = images.reference("node", deployment.root)
        self.fleet = LocalFleet(deployment, settings, image)
        self.waiter = Waiter(deployment, self.fleet, console)
        self.checks: list[Check] = []
        self.machines = Plan([], [], [], [], {}, 0)
        self.fresh: list[Instance] = []
        self.results: list[Result] = []
        self.publisher = Publisher(deployment, What.DEPLOY)

    def run(self) -> Summary:
        """Run all stages and say where everything is."""
        started = time.monotonic()
        stages = self.stages()
        self.console.plan(len(stages))
        with steady(self.fleet, "a deploy is under way"):
            self._do(stages)
        updated = sum(result.updated for result in self.results)
        launched = sum(self.machines.launch.values())
        seconds = time.monotonic() - started
        summary = Summary(self.deployment.url, seconds, launched, updated)
        embedded = self.server.mode == "embedded"
        if embedded and (launched or self.publisher.published):
            backup.after_deploy(self.deployment, self.console)
        self._say_goodbye(summary)
        return summary

    def _do(self, stages: Sequence[Stage]) -> None:
        for stage in stages:
            with self.console.stage(stage.title):
                for line in stage.plan():
                    self.console.say(f"  {line}")
                stage.act()

    def show_plan(self) -> None:
        """Say what a deploy would do, stage by stage, in the words of the deploy itself."""
        stages = self.stages()
        for number, stage in enumerate(stages, 1):
            self.console.say(f"[{number}/{len(stages)}] {stage.title}")
            for line in stage.plan() or ["nothing to do"]:
                self.console.say(f"  {line}")

    def stages(self) -> list[Stage]:
        """Return the stages in their order."""
        return [
            Stage("preflight", self._plan_preflight, self._preflight),
            Stage("images", self._plan_images, self._images),
            Stage("identity", self._plan_identity, self._identity),
            Stage("chef server", self._plan_machines, self._chef_server),
            Stage("hub", self._plan_hub, self._hub),
            Stage("workers", lambda: self._plan_publish(Role.SWARM_WORKER), self._workers),
            Stage("bootstrap", self._plan_bootstrap, self._bootstrap),
            Stage("converge", self._plan_converge, self._converge),
            Stage("check", self._plan_check, self._check),
        ]

    def _plan_preflight(self) -> list[str]:
        self.checks = doctor.examine(self.deployment, self.settings)
        failed = [check for check in self.checks if check.verdict is Verdict.FAIL]
        return [f"put right {check.name}: {check.detail}" for check in failed]

    def _preflight(self) -> None:
        doctor.require(self.console, self.checks)
        # Only now: a deployment that never began must not hold on to its ports.
        chosen = self.deployment
        Deployment.create(chosen.name, chosen.environment, chosen.ports, chosen.root)

    def _plan_images(self) -> list[str]:
        references = [images.reference(name, self.deployment.root) for name in images.NAMES]
        return [f"build {ref}" for ref in references if docker.image_size(ref) is None]

    def _images(self) -> None:
        images.build(self.console, root=self.deployment.root)

    def _plan_identity(self) -> list[str]:
        if self.deployment.ca_crt.exists():
            return []
        return [f"make a certificate authority, keys and secrets in {self.deployment.dir}"]

    def _identity(self) -> None:
        for role in identity.ensure(self.deployment, self.settings):
            self.console.say(f"  new certificate for {role}")

    def _plan_machines(self) -> list[str]:
        found = [(i, bringup.health(self.fleet, i)) for i in self.fleet.list()]
        try:
            clients = policy.connect(self.deployment).clients()
        except HubfleetError:
            clients = []  # no server yet, or none that answers: it is waited for later
        known = bringup.without_revoked(found, clients)
        self.machines = bringup.make_plan(known, self.settings.fleet.workers.min)
        return self.machines.words()

    def _chef_server(self) -> None:
        for instance in self.machines.replace:
            self.waiter.keep_log(instance)
            self.fleet.terminate(instance.id)
        for instance in self.machines.start:
            self.fleet.start(instance.id)
        leftovers.sweep_seeds(self.deployment, self.fleet)
        if self.machines.launch[Role.CHEF_SERVER]:
            if self.server.external:
                self.publisher.push([Role.CHEF_SERVER.value])
            else:
                self._export_policy()
            self._launch(Role.CHEF_SERVER)
        server = self._only(Role.CHEF_SERVER)
        self.waiter.until(server, self._server_complaint, SERVER_TIMEOUT_S[self.server.mode])
        self.publisher.push([Role.CHEF_SERVER.value])
        clients = policy.connect(self.deployment).clients()
        backup.require_known(self.deployment, self.machines.keep, clients)
        leftovers.forget_machines(self.deployment, self.fleet, self.server.external)

    def _plan_publish(self, role: Role) -> list[str]:
        """Say what is missing on a server that answers; on a new one, everything is."""
        root = self.deployment.root
        wanted = policy.revision(role.value, root)
        try:
            group = policy.connect(self.deployment).policy_groups()
        except HubfleetError:
            group = {}
        if group.get(self.deployment.environment, {}).get(role.value) == wanted:
            return []
        return [f"publish policy {role} {wanted[:10]} and what it needs"]

    def _plan_hub(self) -> list[str]:
        return service_container.plan(self.deployment, self.settings) + self._plan_publish(Role.HUB)

    def _hub(self) -> None:
        service_container.ensure(self.deployment, self.settings)
        self._publish("hub", Role.HUB)

    def _workers(self) -> None:
        self._publish("notebook", Role.SWARM_WORKER)

    def _publish(self, image: str, role: Role) -> None:
        """Publish an image, then the policy that names it, then start machines that want both."""
        image_publish.push(self._registry(), self.console, [image], self.deployment.root)
        self.publisher.push([role.value])
        if self.machines.launch[role]:
            self._launch(role)

    def _plan_bootstrap(self) -> list[str]:
        plan = self.machines
        count = sum(plan.launch.values()) + len(plan.await_) + len(plan.start)
        return [f"wait until {count} machines have converged"] if count else []

    def _bootstrap(self) -> None:
        self.waiter.wait([*self.fresh, *self.machines.await_, *self.machines.start])

    def _plan_converge(self) -> list[str]:
        nodes = [*self.machines.keep, *self.machines.start]
        return [f"run chef-client on {len(nodes)} nodes"] if nodes else []

    def _converge(self) -> None:
        nodes = [*self.machines.keep, *self.machines.start]
        # What a rollout held back is published now, and converges with all others.
        rolling.release_all(self.deployment, self.fleet, self.console)
        self.results = converge(self.deployment, self.fleet, nodes)
        for result in self.results:
            if result.updated:
                where = f"{result.instance.role} {result.instance.id}"
                self.console.say(f"  {where}: {result.updated} resources updated")
        require_all(self.results)

    def _plan_check(self) -> list[str]:
        return [f"ask {self.deployment.url} and the Swarm whether all is well"]

    def _check(self) -> None:
        hub = self._only(Role.HUB)

        def members() -> list[str]:
            machines = self.fleet.list()
            return [i.id for i in machines if i.role is not Role.CHEF_SERVER]

        swarm.forget(self.fleet, hub, members())

        def complaint() -> str:
            try:
                get_json(f"{self.deployment.url}/hub/health", self.deployment.ca_crt)
                return swarm.complaint(swarm.nodes(self.fleet, hub), members())
            except CommandError as error:
                return error.message

        self.waiter.until(hub, complaint, CHECK_TIMEOUT_S)

    def _launch(self, role: Role) -> None:
        self.fresh += self.fleet.launch(role, self.machines.launch[role])

    def _only(self, role: Role) -> Instance:
        for instance in self.fleet.list():
            if instance.role is role and instance.state is State.RUNNING:
                return instance
        raise CommandError(f"the {role} machine has gone away", "deploy again")

    def _export_policy(self) -> None:
        target = policy_archive(self.deployment)
        folder = target.parent / "export"
        make_private_dir(folder)
        archive = policy.export(Role.CHEF_SERVER.value, folder, root=self.deployment.root)
        write_private(target, archive.read_bytes())

    def _server_complaint(self) -> str:
        """Return why neither policies nor images could be published yet; empty where they can."""
        try:
            policy.connect(self.deployment).policy_groups()
            self._registry().has(images.repository("hub"), "none")
        except HubfleetError as error:
            return error.message
        return ""

    def _registry(self) -> Registry:
        return identity.registry(self.deployment, self.settings)

    def _say_goodbye(self, summary: Summary) -> None:
        say = self.console.say
        say(f"deployed in {summary.seconds:.0f} s; {summary.updated} resources updated")
        say(f"hub:     {summary.url}")
        if self.settings.hub.authenticator == "dummy":
            password = SecretStore(self.deployment.secrets_dir).path(Role.HUB, "login_password")
            say(f"log in:  any user name; the password: cat {password}")
        say(f"         your browser asks about the certificate: its CA is {self.deployment.ca_crt}")
        say(f"state:   {self.deployment.dir}")
        option = "" if self.deployment.name == "local" else f" --name {self.deployment.name}"
        say(f"next:    ./invoke status{option} | verify{option} | destroy{option}")
