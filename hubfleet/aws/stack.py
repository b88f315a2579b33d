"""Terraform's stack of one environment: a working copy, its state in S3, plans and their making.

The copy lies in the deployment's directory and is renewed at each use, so the checkout stays as it
is, and the provider, some hundred MB, is fetched once. What fails is told by hubfleet.aws.refusals.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hubfleet.aws.changes import Change, changes
from hubfleet.aws.preview import QUIET, READS, TIMEOUT_S
from hubfleet.aws.refusals import BrokenOffError, refusal, settled
from hubfleet.clients import infra_tools
from hubfleet.clients.process import Completed
from hubfleet.image_build import cache_dir
from hubfleet.machine_images import MANIFEST
from hubfleet.state import Deployment, make_private_dir

PLAN_TIMEOUT_S = 900
"""Seconds of a plan; each of some 130 things is asked for."""

APPLY_TIMEOUT_S = 3600
"""Seconds of an apply or destroy; NAT gateways, file systems and zones take minutes each."""

GRACE_S = 900
"""Seconds that OpenTofu has, once interrupted, to end what it is at and to write its state."""

FOUND = "found"
"""File of a plan."""


class Stack:
    """The stack of a deployment's environment. `init` comes first.

    All raise PreconditionError without OpenTofu, CommandError where it or AWS refuses.
    """

    def __init__(self, deployment: Deployment, region: str, bucket: str) -> None:
        self.environment, self.root = deployment.environment, deployment.root
        self.region, self.bucket = region, bucket
        self.log = deployment.log_dir / "tofu.log"
        self.copy = deployment.dir / "stack"
        self.folder = self.copy / "terraform"
        self.tool = infra_tools.require(infra_tools.TOFU, cache_dir(), self.root)

    def init(self) -> None:
        """Renew the copy, and connect it with the state."""
        make_private_dir(self.copy)
        for name in READS:
            _renew(self.root / name, self.copy / name)
        place = {"bucket": self.bucket, "key": self.environment, "region": self.region}
        given = [f"-backend-config={key}={value}" for key, value in place.items()]
        self._run("init", "-reconfigure", *given, timeout=TIMEOUT_S)

    def outputs(self) -> dict[str, Any]:
        """Return the output `stack` (terraform/outputs.tf); an empty one before it is whole."""
        found = json.loads(self._read("output", "-json"))
        stack: dict[str, Any] = found.get("stack", {}).get("value", {})
        return stack

    def resources(self) -> dict[str, Mapping[str, Any]]:
        """Return all that the state holds: attributes by Terraform's address."""
        return {each["address"]: each["values"] for each in self._held()}

    def whole(self) -> set[str]:
        """Return the addresses of what the state holds and no interruption has left half-made."""
        return {each["address"] for each in self._held() if not each.get("tainted")}

    def _held(self) -> list[dict[str, Any]]:
        # `state list` fails where nobody has written a state yet.
        document = json.loads(self._read("show", "-json"))
        module = document.get("values", {}).get("root_module", {})
        return [each for each in module.get("resources", []) if each["mode"] == "managed"]

    def plan(self, targets: Iterable[str] = (), *, destroy: bool = False) -> list[Change]:
        """Return what would change, of `targets` and what they need, or of all; `apply` does it."""
        argv = [f"-target={target}" for target in targets] + (["-destroy"] if destroy else [])
        self._run("plan", f"-out={FOUND}", *argv, *self._given(), timeout=PLAN_TIMEOUT_S)
        return changes(json.loads(self._read("show", "-json", FOUND)))

    def apply(self) -> None:
        """Do what the last plan says; refused where something has changed since."""
        self._run("apply", FOUND, timeout=APPLY_TIMEOUT_S)

    def change(
        self,
        targets: Iterable[str] = (),
        *,
        destroy: bool = False,
        agree: Callable[[Sequence[Change]], None] = lambda _: None,
    ) -> None:
        """Plan, have `agree` look at what would change, and do it.

        Where a connection breaks off it begins anew, once: what was done is in the state.
        """
        try:
            self._change(targets, destroy, agree)
        except BrokenOffError:
            self._change(targets, destroy, agree)

    def _change(
        self, targets: Iterable[str], destroy: bool, agree: Callable[[Sequence[Change]], None]
    ) -> None:
        found = self.plan(targets, destroy=destroy)
        if found:
            agree(found)
            self.apply()

    def adopt(self, address: str, identifier: str) -> None:
        """Take into the state what exists in the account."""
        self._run("import", *self._given(), address, identifier, timeout=PLAN_TIMEOUT_S)

    def forget(self, addresses: Sequence[str]) -> None:
        """Take out of the state what is to stay in the account."""
        if addresses:
            self._run("state", "rm", *addresses, timeout=TIMEOUT_S)

    def _given(self) -> list[str]:
        return [
            f"-var=environment={self.environment}",
            f"-var=image_manifest={self.root / MANIFEST}",
        ]

    def _read(self, *argv: str) -> str:
        """Run a command whose standard output is data."""
        done = settled(
            lambda: self.tool.run(argv, cwd=self.folder, env=QUIET, check=False, timeout=TIMEOUT_S)
        )
        if done.returncode:
            raise self._refusal(argv[0], done)
        return done.stdout

    def _run(self, command: str, *argv: str, timeout: float) -> None:
        # After the subcommand of a command in two words.
        words = (
            [command, argv[0], "-no-color", *argv[1:]]
            if command == "state"
            else [command, "-no-color", *argv]
        )
        make_private_dir(self.log.parent)

        def run() -> Completed:
            return self.tool.run(
                words,
                cwd=self.folder,
                env=QUIET,
                check=False,
                log=self.log,
                timeout=timeout,
                grace=GRACE_S,
            )

        # A plan can be applied once.
        done = run() if command == "apply" else settled(run)
        if done.returncode:
            raise self._refusal(command, done)

    def _refusal(self, command: str, done: Completed) -> Exception:
        release = f"(cd {self.folder} && {self.tool.path} force-unlock -force %s)"
        return refusal(command, self.environment, done.stdout + done.stderr, release, self.log)


def _renew(source: Path, target: Path) -> None:
    """Make `target` a copy of `source`, except for what OpenTofu keeps there."""
    keep = ".terraform"
    target.mkdir(exist_ok=True)
    for path in target.iterdir():
        if path.name == keep:
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    unwanted = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars", "tests")
    shutil.copytree(source, target, ignore=unwanted, dirs_exist_ok=True)
