"""The bucket of Terraform's states: named by the shell or by account and region, made once."""

import json
import os

from hubfleet.clients.aws import MISSING, Aws
from hubfleet.clients.aws_fleet import AwsRefusal

STATE_BUCKET = "AWS_STATE_BUCKET"
"""Variable of the shell that names another bucket than `name` does."""

NO_LOCATION = "us-east-1"
"""The one region that S3 does not take as a place of a bucket (API reference, CreateBucket)."""


def name(account: str, region: str) -> str:
    """Return the bucket that holds the states of an account's environments in a region."""
    return os.environ.get(STATE_BUCKET) or f"hubfleet-state-{account}-{region}"


def exists(aws: Aws, bucket: str) -> bool:
    """Say whether there is such a bucket; raises as `Aws.refusals` does where it is not ours."""
    try:
        with aws.refusals(f"the bucket {bucket} cannot be used"):
            aws.call("s3", "head_bucket", Bucket=bucket)
    except AwsRefusal as refusal:
        if refusal.code not in MISSING:
            raise
        return False
    return True


def ensure(aws: Aws, bucket: str) -> bool:
    """Make the bucket where it is missing, or was left half-made; return whether it was new.

    States tell how a stack is built, and one that is lost cannot be made again: the bucket keeps
    versions, is encrypted, and is closed to the public and to connections without TLS.
    """
    new = not exists(aws, bucket)
    with aws.refusals(f"the bucket of states {bucket} cannot be made"):
        if new:
            place = {"LocationConstraint": aws.region}
            where = {} if aws.region == NO_LOCATION else {"CreateBucketConfiguration": place}
            aws.call("s3", "create_bucket", Bucket=bucket, **where)
        elif aws.call("s3", "get_bucket_versioning", Bucket=bucket).get("Status") == "Enabled":
            return False
        closed = (
            "BlockPublicAcls",
            "IgnorePublicAcls",
            "BlockPublicPolicy",
            "RestrictPublicBuckets",
        )
        aws.call(
            "s3",
            "put_public_access_block",
            Bucket=bucket,
            PublicAccessBlockConfiguration=dict.fromkeys(closed, True),
        )
        default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        aws.call(
            "s3",
            "put_bucket_encryption",
            Bucket=bucket,
            ServerSideEncryptionConfiguration={"Rules": [default]},
        )
        policy = json.dumps(_only_tls(bucket, aws.identity().arn.split(":")[1]))
        aws.call("s3", "put_bucket_policy", Bucket=bucket, Policy=policy)
        # Last: what shows that all the rest has been done.
        aws.call(
            "s3",
            "put_bucket_versioning",
            Bucket=bucket,
            VersioningConfiguration={"Status": "Enabled"},
        )
    return new


def _only_tls(bucket: str, partition: str) -> dict[str, object]:
    arn = f"arn:{partition}:s3:::{bucket}"
    refusal = {
        "Sid": "OnlyTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [refusal]}
