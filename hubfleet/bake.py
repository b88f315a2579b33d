"""Make machine images with Packer: inputs by the locks, `packer init`, `validate`, `build`."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hubfleet import bake_inputs, machine_images
from hubfleet.aws.registry import address
from hubfleet.clients import git, infra_tools
from hubfleet.clients.aws_fleet import AwsFleet, AwsRefusal
from hubfleet.clients.infra_tools import Tool
from hubfleet.console import Console
from hubfleet.errors import CommandError, PreconditionError, UsageError, nearest
from hubfleet.image_build import cache_dir
from hubfleet.machine_images import MachineImage
from hubfleet.settings import Settings, load
from hubfleet.state import ROOT, make_private_dir

FOLDERS = ("packer", "images/node", "cookbooks", "policyfiles", "roles", "environments")
"""What an image is made from: where one of these is edited, the commit does not tell it."""

BUILD_TIMEOUT_S = 3 * 3600
"""Seconds for all images side by side; half an hour is usual, most of it EBS writing snapshots."""

REASONS = (
    (
        r"is used by an existing AMI",
        "there is an image of this name",
        "wait a minute: names end with the time",
    ),
    (
        r"NoCredentialProviders|no valid credential sources|failed to refresh cached credentials",
        "there are no AWS credentials",
        "run: aws sso login, or set AWS_PROFILE",
    ),
    (r"ExpiredToken|RequestExpired", "the AWS credentials have expired", "run: aws sso login"),
    (
        r"UnauthorizedOperation|AccessDenied",
        "AWS does not allow what Packer needs",
        "terraform/bootstrap/bake.tf has what a bake needs; the log names what is missing",
    ),
    (
        r"VPCIdNotSpecified|No default VPC",
        "the account has no default network to build in",
        "name a public subnet with --subnet",
    ),
    (
        r"No AMI was found matching",
        "the base image is not to be had",
        "check fleet.aws.base_image of the environment",
    ),
    (
        r"no such host|i/o timeout|connection refused|Could not resolve|TLS handshake",
        "the network does not lead there",
        "check name resolution, the proxy and the way out; the log names the address",
    ),
)
"""What Packer, its plug-in or a script on the builder says, in one sentence with the next step."""


@dataclass(frozen=True)
class Request:
    """What to bake: environment, images, the subnet to build in ("" for the default)."""

    environment: str
    images: Sequence[str]
    subnet: str = ""

    @classmethod
    def checked(cls, environment: str, images: Sequence[str], subnet: str) -> "Request":
        """Return a request whose words are known; raises UsageError."""
        for image in images:
            if image not in bake_inputs.IMAGES:
                raise UsageError(
                    f"there is no machine image {image!r}{nearest(image, bake_inputs.IMAGES)}",
                    f"images: {', '.join(bake_inputs.IMAGES)}",
                )
        on_aws(environment)
        return cls(environment, tuple(images) or bake_inputs.IMAGES, subnet)


def on_aws(environment: str) -> Settings:
    """Return the environment's settings; raises UsageError where it has no machines on AWS."""
    settings = load(environment)
    if settings.fleet.backend != "aws":
        raise UsageError(
            f"{environment} has no machine images: its fleet.backend is {settings.fleet.backend}",
            "name an environment on AWS with --env",
        )
    return settings


def bake(request: Request, console: Console, root: Path = ROOT) -> list[MachineImage]:
    """Make the images in numbered stages, note them in packer/manifest.json, and return them.

    Raises PreconditionError where Packer is missing or a lock stale, CommandError with a next step
    where AWS or Packer fails; packer/manifest.json then has what was made until then.
    """
    region = on_aws(request.environment).fleet.aws.region
    aws = AwsFleet(region)
    # Also the proof that there are credentials.
    registry = address(request.environment, aws)
    if "node" in request.images:
        _require_notebook(request, aws)
    console.plan(4)
    with (
        _prepared(request, console, root, registry) as run,
        console.stage(f"packer build (log: {run.log.relative_to(root)})"),
    ):
        run("build", timeout=BUILD_TIMEOUT_S)
    made = machine_images.noted(machine_images.read(root), request.environment, region)
    return [image for image in made if image.image in request.images]


def validate(request: Request, console: Console, root: Path = ROOT) -> None:
    """Make the inputs and let Packer check everything that it can check without AWS.

    Raises what `bake` raises.
    """
    console.plan(3)
    with _prepared(request, console, root, ""):
        pass


@dataclass(frozen=True)
class _Run:
    """Packer with the variables of one request."""

    packer: Tool
    root: Path
    log: Path
    given: Sequence[str]

    def __call__(self, command: str, timeout: float = 300) -> None:
        argv = [command, "-color=false"] if command == "build" else [command]
        given = [] if command == "init" else self.given
        done = self.packer.run(
            [*argv, *given, "packer"], cwd=self.root, check=False, log=self.log, timeout=timeout
        )
        if done.returncode:
            raise failure(command, done.stdout, self.log)


@contextmanager
def _prepared(request: Request, console: Console, root: Path, registry: str) -> Iterator[_Run]:
    """Yield Packer, its plug-in there, its inputs made and its files valid."""
    packer = infra_tools.require(infra_tools.PACKER, cache_dir())
    logs = root / ".state" / "log"
    make_private_dir(logs)
    log = logs / f"bake-{request.environment}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log"
    with tempfile.TemporaryDirectory(prefix="hubfleet-bake-") as scratch:
        with console.stage("inputs"):
            made = bake_inputs.make(Path(scratch), request.images, root)
        for file in made:
            console.say(f"  {file.name}: {file.stat().st_size} bytes")
        run = _Run(packer, root, log, _given(request, scratch, registry, root))
        with console.stage("packer init"):
            run("init")
        with console.stage("packer validate"):
            run("validate")
        yield run


def _given(request: Request, inputs: str, registry: str, root: Path) -> list[str]:
    """Return Packer's arguments: which images, and its variables."""
    tree = git.look(root, FOLDERS)
    revision = f"{tree.commit}{'-dirty' if tree.dirty else ''}" if tree.commit else "unknown"
    only = ",".join(f"hubfleet.amazon-ebs.{image}" for image in request.images)
    values = {
        "environment": request.environment,
        "inputs": inputs,
        "registry": registry,
        "revision": revision,
        "subnet_id": request.subnet,
    }
    return [f"-only={only}", *(f"-var={name}={value}" for name, value in values.items())]


def _require_notebook(request: Request, aws: AwsFleet) -> None:
    """Raise PreconditionError where ECR lacks the notebook image, which the node image holds."""
    image = load(request.environment).images.notebook
    repository = f"hubfleet-{request.environment}/{image.repository}"
    wanted = [{"imageTag": image.tag}]
    try:
        aws.call("ecr", "describe_images", repositoryName=repository, imageIds=wanted)
    except AwsRefusal as error:
        if error.code not in {"ImageNotFoundException", "RepositoryNotFoundException"}:
            raise
        raise PreconditionError(
            f"the registry has no {repository}:{image.tag} yet, which the node image holds",
            "publish the images there first; other images: --image chef_server",
        ) from error


def failure(command: str, output: str, log: Path) -> CommandError:
    """Return the error that says why Packer failed; `output` is what it printed."""
    for pattern, said, hint in REASONS:
        if re.search(pattern, output):
            return CommandError(f"packer {command}: {said}", f"{hint} (log: {log})", output[-2000:])
    return CommandError(
        f"packer {command} failed", f"the log has the reason: {log}", output[-2000:]
    )
