"""What a run of OpenTofu asks of AWS, from the provider's own log, in the words of IAM policies."""

import re
from pathlib import Path

CALL = re.compile(r"rpc\.(method|service)=(\"[^\"]+\"|\S+)")

PREFIXES = {
    "Auto Scaling": "autoscaling",
    "Budgets": "budgets",
    "CloudWatch Logs": "logs",
    "EC2": "ec2",
    "ECR": "ecr",
    "EFS": "elasticfilesystem",
    "EventBridge": "events",
    "IAM": "iam",
    "Route 53": "route53",
    "S3": "s3",
    "SQS": "sqs",
    "ServiceDiscovery": "servicediscovery",
}

NAMELESS = {"STS"}
"""Services whose calls need no permission: GetCallerIdentity."""

# Actions that are called otherwise than the requests that they allow (Service Authorization
# Reference, Actions for Amazon S3).
ACTIONS = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketCors": "s3:GetBucketCORS",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}


def actions(log: Path, start: int = 0) -> set[str]:
    """Return the actions of all requests in a provider's debug log, from a byte on."""
    found = set()
    with log.open("rb") as stream:
        stream.seek(start)
        text = stream.read().decode(errors="replace")
    for line in text.splitlines():
        named = {key: value.strip('"') for key, value in CALL.findall(line)}
        if len(named) == 2 and named["service"] not in NAMELESS:
            action = f"{PREFIXES[named['service']]}:{named['method']}"
            found.add(ACTIONS.get(action, action))
    return found
