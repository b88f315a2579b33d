"""What machines of AWS need before they start: images in ECR, machine images, the first policy."""

from pathlib import Path

from hubfleet import bake, image_publish, images, machine_images, policy
from hubfleet.aws import checks
from hubfleet.aws.registry import address, registry
from hubfleet.bake import Request
from hubfleet.clients.aws import MISSING, Aws
from hubfleet.clients.aws_fleet import AwsRefusal
from hubfleet.console import Console
from hubfleet.fleet.base import Role
from hubfleet.fleet.seed import policy_archive
from hubfleet.settings import Settings
from hubfleet.state import Deployment, make_private_dir, write_private

POLICY_KEY = "policies/chef_server.tgz"
"""Where the Chef server's machine finds its own policy (terraform/artifacts.tf)."""

BACKUPS = "backups"
"""Folder of that bucket."""

REVISION = "revision"
"""Metadata of that object: the policy's revision."""

ABSENT = frozenset({"ImageNotFoundException", "RepositoryNotFoundException"})


def lacking_images(aws: Aws, deployment: Deployment) -> list[str]:
    """Return the published images that the environment's registry lacks, by name."""
    lock = images.read_lock(deployment.root)
    return [
        name
        for name in images.PUBLISHED
        if not _published(aws, deployment.environment, images.repository(name), lock[name])
    ]


def _published(aws: Aws, environment: str, repository: str, tag: str) -> bool:
    name = f"{address(environment, aws).partition('/')[2]}/{repository}"
    try:
        with aws.refusals(f"the images of {name} cannot be told"):
            wanted = [{"imageTag": tag}]
            aws.call("ecr", "describe_images", repositoryName=name, imageIds=wanted)
    except AwsRefusal as refusal:
        if refusal.code not in ABSENT:
            raise
        return False
    return True


def bring_images(aws: Aws, deployment: Deployment, console: Console) -> None:
    """Build and publish the images that the registry lacks; needs an engine only for these."""
    lacking = lacking_images(aws, deployment)
    if lacking:
        root = deployment.root
        images.build(console, lacking, root)
        writing = registry(aws, address(deployment.environment, aws))
        image_publish.push(writing, console, lacking, root)


def missing_machine_images(aws: Aws, deployment: Deployment, settings: Settings) -> list[str]:
    """Return the machine images that are needed and are neither given, noted nor in the account.

    What the account has is noted in packer/manifest.json where that has none.
    """
    environment, root = deployment.environment, deployment.root
    have = checks.chosen_images(environment, aws.region, root)
    missing = [name for name in checks.needed_images(settings) if name not in have]
    if not missing:
        return []
    found = [each for each in machine_images.newest(aws, environment) if each.image in missing]
    machine_images.note(root, environment, aws.region, found)
    return [name for name in missing if name not in {each.image for each in found}]


def bake_machine_images(deployment: Deployment, missing: list[str], console: Console) -> None:
    """Make the missing ones. Raises what hubfleet.bake.bake raises."""
    bake.bake(Request.checked(deployment.environment, missing, ""), console, deployment.root)


def bring_policy(aws: Aws, deployment: Deployment, bucket: str) -> bool:
    """Put the Chef server's own policy into the bucket; return whether it was another one."""
    wanted = policy.revision(Role.CHEF_SERVER.value, deployment.root)
    if _stored(aws, bucket) == wanted:
        return False
    folder = policy_archive(deployment).parent / "export"
    make_private_dir(folder)
    made = policy.export(Role.CHEF_SERVER.value, folder, root=deployment.root)
    write_private(policy_archive(deployment), made.read_bytes())
    with aws.refusals(f"the policy cannot be put into the bucket {bucket}"):
        aws.call(
            "s3",
            "put_object",
            Bucket=bucket,
            Key=POLICY_KEY,
            Body=made.read_bytes(),
            Metadata={REVISION: wanted},
        )
    return True


def keep_backup(aws: Aws, bucket: str, file: Path) -> None:
    """Keep a backup of the Chef server, which is encrypted, where no machine can lose it."""
    with aws.refusals(f"the backup cannot be put into the bucket {bucket}"):
        key = f"{BACKUPS}/{file.name}"
        aws.call("s3", "put_object", Bucket=bucket, Key=key, Body=file.read_bytes())


def _stored(aws: Aws, bucket: str) -> str:
    try:
        with aws.refusals(f"the bucket {bucket} cannot be read"):
            found = aws.call("s3", "head_object", Bucket=bucket, Key=POLICY_KEY)
    except AwsRefusal as refusal:
        if refusal.code not in MISSING:
            raise
        return ""
    return str(found["Metadata"].get(REVISION, ""))
