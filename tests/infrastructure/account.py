"""An account of moto, and a checkout from which the commands deploy into it.

What moto has no server for is played here: the registry behind ECR's login (images are noted in
moto's ECR), quotas, the way through Session Manager, the hub's answer. The Chef server's machine is
the embedded server itself, as a process, with the keys and the certificate that the deploy has put
into SSM. tests/rehearsal has machines in place of most of this.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from hubfleet import image_publish, images, settings
from hubfleet.aws import arrival, checks, commands, states, supplies, tunnel
from hubfleet.aws.deploy import Consent
from hubfleet.aws.registry import registry
from hubfleet.clients.aws import Aws
from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_process import ChefProcess, start_embedded
from hubfleet.clients.registry import Registry
from hubfleet.console import Console
from hubfleet.doctor import Check, Verdict
from hubfleet.errors import CommandError
from hubfleet.policy import connect
from hubfleet.state import ROOT, Deployment, write_private
from tests.chef_api.tls import in_front
from tests.infrastructure.tools import Tofu
from tests.unit.checkout import Checkout

ENVIRONMENT = "staging"
STEP_S = 900
OAUTH = ("oauth_client_id", "oauth_client_secret")
LEAST_ARCHIVE = 10_000
"""Bytes; an archive of a policy without its cookbooks is smaller."""

LOCAL_STATE = (
    '  # Beside the copy: there is no bucket before there is a stack.\n  backend "local" {}\n'
)


class Account:
    """The account, the operator's checkout and the deployment in it."""

    environment = ENVIRONMENT
    poll_s = 0.2

    def __init__(self, moto: str, folder: Path) -> None:
        self.moto, self.folder = moto, folder
        self.root = folder / "checkout"
        self.log = folder / "requests.log"
        self.amis: dict[str, str] = {}
        self.server: ChefProcess | None = None
        self.fill_checkout()
        self.settings = settings.load(self.environment, self.root)

    @property
    def env(self) -> dict[str, str]:
        """What the operator's shell has."""
        tools = os.environ.get("HUBFLEET_TOOLS") or str(ROOT.parent / "shared" / "tools")
        return {
            "AWS_ENDPOINT_URL": self.moto,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_MAX_ATTEMPTS": "3",
            "HUBFLEET_TOOLS": tools,
            "TF_LOG_PROVIDER": "DEBUG",
            "TF_LOG_PATH": str(self.log),
        }

    @property
    def deployment(self) -> Deployment:
        """The deployment, as the commands choose it."""
        return commands.choose(None, self.environment, self.root)

    @property
    def stack(self) -> Path:
        """The working copy of terraform/."""
        return self.deployment.dir / "stack" / "terraform"

    def client(self, service: str) -> Any:
        """Return boto3's client of moto."""
        return boto3.client(
            service,
            endpoint_url=self.moto,
            region_name=self.settings.fleet.aws.region,
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )

    def chef(self) -> Chef:
        """Return the Chef server as the operator sees it through a tunnel that is open."""
        return connect(self.deployment)

    def deploy(self, *, yes: bool = False) -> None:
        """Run `./invoke deploy --env <environment> --dirty-ok`."""
        commands.deploy(Console(), self.deployment, Consent(yes, dirty=True))

    def destroy(self, *, homes: bool = False) -> None:
        """Run `./invoke destroy --env <environment> --yes`."""
        commands.destroy(Console(), self.deployment, homes=homes, yes=True, dry_run=False)

    def prepare(self) -> None:
        """Make what is there before the first deploy: the zone, machine images."""
        zone = self.settings.fleet.aws.dns_zone
        self.client("route53").create_hosted_zone(Name=zone, CallerReference="test")
        self.make_machine_images()

    def make_machine_images(self) -> None:
        """Have the account own new machine images, as a bake does."""
        ec2 = self.client("ec2")
        for image in checks.NEEDED_IMAGES:
            tags = {
                "hubfleet.deployment": self.environment,
                "hubfleet.image": image,
                "hubfleet.revision": "of-this-test",
            }
            self.amis[image] = ec2.register_image(Name=image)["ImageId"]
            ec2.create_tags(
                Resources=[self.amis[image]],
                Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            )

    def log_in_at_the_provider(self) -> None:
        """Put the provider's client in place, as the operator does."""
        for name in OAUTH:
            write_private(self.deployment.secrets_dir / "hub" / name, f"the {name}")

    def parameter(self, name: str) -> str:
        """Return a secret as a machine reads it."""
        path = f"{self.settings.secrets.path}/{name}"
        found = self.client("ssm").get_parameter(Name=path, WithDecryption=True)
        return str(found["Parameter"]["Value"])

    @contextmanager
    def forward(self, aws: Aws, instance_id: str, port: int, local_port: int) -> Iterator[None]:
        """Play Session Manager: lead to the Chef server's machine, which must be there."""
        assert port == 443
        found = aws.call("ec2", "describe_instances", InstanceIds=[instance_id])
        (machine,) = found["Reservations"][0]["Instances"]
        tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
        assert tags["hubfleet.role"] == "chef_server"
        pair = self.folder / "server.pem"
        pair.write_text(
            self.parameter("chef_server/tls_crt") + self.parameter("chef_server/tls_key")
        )
        with in_front(self._boot_chef_server(), pair, local_port):
            yield

    def _boot_chef_server(self) -> str:
        """Start the server once, by what its machine finds; return the address."""
        if self.server is None:
            assert self.archive()["ContentLength"] > LEAST_ARCHIVE
            keys = self.folder / "keys"
            keys.mkdir()
            public = {}
            for name in ("operator", "bootstrap", "fleet"):
                public[name] = keys / f"{name}.pub"
                public[name].write_text(self.parameter(f"chef_server/{name}_public_key"))
            self.server = start_embedded(self.folder / "server", public)
        return self.server.url.partition("/organizations")[0]

    def archive(self) -> Any:
        """Return the Chef server's own policy as its machine fetches it."""
        s3 = self.client("s3")
        (bucket,) = [
            each["Name"]
            for each in s3.list_buckets()["Buckets"]
            if each["Name"].startswith(f"hubfleet-{self.environment}-")
        ]
        return s3.get_object(Bucket=bucket, Key=supplies.POLICY_KEY)

    def fill_checkout(self) -> None:
        """Make the checkout: what a deploy reads, and what moto needs in terraform/."""
        checkout = Checkout(self.root)
        checkout.add_tools()
        (self.root / "cookbooks").symlink_to(ROOT / "cookbooks")
        shutil.copy(ROOT / "images" / "lock.json", self.root / "images" / "lock.json")
        for lock in (ROOT / "policyfiles").glob("*.lock.json"):
            shutil.copy(lock, self.root / "policyfiles")
        (self.root / "packer").mkdir()
        unwanted = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars")
        shutil.copytree(ROOT / "terraform", self.root / "terraform", ignore=unwanted)
        override = (ROOT / "tests/infrastructure/moto_override.tf").read_text()
        assert LOCAL_STATE in override
        # The state is where a deploy keeps it: in the account.
        (self.root / "terraform" / "moto_override.tf").write_text(override.replace(LOCAL_STATE, ""))

    def play(self, patch: pytest.MonkeyPatch) -> None:
        """Put in place what moto has no server for."""
        for name, value in self.env.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        plugin = self.folder / "bin" / checks.PLUGIN
        plugin.parent.mkdir()
        plugin.write_text("#!/bin/sh\nexit 1\n")
        plugin.chmod(0o755)
        patch.setenv("PATH", str(plugin.parent), prepend=":")
        enough = Check("quotas", Verdict.OK, "played")
        patch.setattr(checks, "_quotas", lambda *_: enough)
        # moto heeds no condition of a bucket's policy: it would refuse all.
        patch.setattr(states, "_only_tls", _harmless)
        patch.setattr(tunnel, "forward", self.forward)
        patch.setattr(arrival, "get_json", self.ask_hub)
        patch.setattr(arrival, "POLL_S", self.poll_s)
        patch.setattr(supplies, "registry", self.shelf)
        self.play_images(patch)

    def play_images(self, patch: pytest.MonkeyPatch) -> None:
        """Have images that nobody has built."""
        patch.setattr(images, "build", lambda *_: None)
        patch.setattr(image_publish, "packed", lambda local: Path(local.partition(":")[0]))

    def ask_hub(self, url: str, *_: object, **__: object) -> object:
        """Play the hub, which is there once its machine is."""
        assert url == f"https://{self.settings.fleet.aws.host}/hub/health"
        filters = [
            {"Name": "tag:hubfleet.role", "Values": ["hub"]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        if not self.client("ec2").describe_instances(Filters=filters)["Reservations"]:
            raise CommandError("nobody answers")
        return {}

    def shelf(self, aws: Aws, address: str) -> Registry:
        """Return the registry, with the login that moto gives."""
        real = registry(aws, address)
        return Shelf(real.address, real.ca_file, real.user, real.password)


class Shelf(Registry):
    """A registry that notes images in moto's ECR."""

    def push(self, packed: Path, repository: str, tag: str) -> None:
        assert packed.name == repository.rpartition("/")[2]
        self.note(repository, tag)

    def note(self, repository: str, tag: str) -> None:
        """Have moto's ECR know an image."""
        manifest = {"schemaVersion": 2, "config": {"digest": f"sha256:{repository}"}, "layers": []}
        region = self.address.split(".")[3]
        boto3.client("ecr", region_name=region).put_image(
            repositoryName=f"{self.address.partition('/')[2]}/{repository}",
            imageManifest=json.dumps(manifest),
            imageManifestMediaType="application/vnd.docker.distribution.manifest.v2+json",
            imageTag=tag,
        )

    def has(self, repository: str, tag: str) -> bool:
        return False


def _harmless(bucket: str, _partition: str) -> dict[str, object]:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutBucketAcl",
        "Resource": f"arn:aws:s3:::{bucket}",
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


@contextmanager
def playing(made: Account) -> Iterator[Account]:
    """Yield an account with a zone and machine images, and what is played in place."""
    with pytest.MonkeyPatch.context() as patch:
        made.play(patch)
        made.prepare()
        try:
            yield made
        finally:
            if made.server:
                made.server.stop()


def terraform(made: Account, tofu: Tofu, *arguments: str, expect: int = 0) -> str:
    """Run OpenTofu in the deployment's working copy, as an administrator might."""
    given = {
        "TF_VAR_environment": made.environment,
        "TF_VAR_image_manifest": str(made.root / "packer" / "manifest.json"),
    }
    done = tofu.run(made.stack, *arguments, timeout=STEP_S, **given)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout
