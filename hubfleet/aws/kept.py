"""What outlives a stack: the students' homes, and the bucket with backups.

`destroy` takes them out of Terraform's state, which then removes the rest; the next deploy takes
them back. So neither a lifecycle rule stands in the way of those who want them gone, nor does an
error half-way end with homes that no state knows.
"""

from collections.abc import Iterable

from hubfleet.aws import states
from hubfleet.aws.stack import Stack
from hubfleet.clients.aws import Aws, Identity
from hubfleet.clients.aws_fleet import AwsRefusal
from hubfleet.console import Console
from hubfleet.fleet.aws_names import AwsNames

HOMES = "aws_efs_file_system.homes"
ARTIFACTS = "aws_s3_bucket.artifacts"

OF_HOMES = (HOMES, "aws_efs_backup_policy.homes", "aws_efs_file_system_policy.homes")
"""The file system, its daily backups, and who may mount it. Mount targets and the access point go:
they cost nothing, hold nothing, and belong to the network that goes."""

OF_ARTIFACTS = (
    ARTIFACTS,
    "aws_s3_bucket_lifecycle_configuration.artifacts",
    "aws_s3_bucket_policy.artifacts",
    "aws_s3_bucket_public_access_block.artifacts",
    "aws_s3_bucket_server_side_encryption_configuration.artifacts",
    "aws_s3_bucket_versioning.artifacts",
)
"""The bucket, and how it is guarded: what S3 keeps as a part of it."""

GONE = frozenset({"FileSystemNotFound"})


def homes(aws: Aws, environment: str) -> str | None:
    """Return the file system of an environment's homes, or None where there is none."""
    token = AwsNames(environment).homes
    try:
        with aws.refusals("the homes cannot be looked for"):
            found = aws.call("efs", "describe_file_systems", CreationToken=token)["FileSystems"]
    except AwsRefusal as refusal:
        if refusal.code not in GONE:
            raise
        return None
    alive = [each for each in found if each["LifeCycleState"] not in {"deleting", "deleted"}]
    return str(alive[0]["FileSystemId"]) if alive else None


def artifacts(aws: Aws, environment: str, who: Identity) -> str | None:
    """Return the bucket of an environment's archives and backups, or None where there is none."""
    bucket = AwsNames(environment).artifacts(who.account, aws.region)
    return bucket if states.exists(aws, bucket) else None


def adopt(stack: Stack, aws: Aws, who: Identity, console: Console) -> None:
    """Take into the state what an earlier stack has left, or an interrupted run has made."""
    known = stack.resources().keys()
    for address, found in (
        (HOMES, homes(aws, stack.environment)),
        (ARTIFACTS, artifacts(aws, stack.environment, who)),
    ):
        if found is not None and address not in known:
            console.say(f"  take back {address}: {found}")
            stack.adopt(address, found)


def let_go(stack: Stack, parts: Iterable[str]) -> list[str]:
    """Take `parts` out of the state, as far as it has them; return these."""
    known = stack.resources().keys()
    # An address may have an index; moto's copy of the stack has such.
    found = sorted(each for each in known if each.partition("[")[0] in set(parts))
    stack.forget(found)
    return found
