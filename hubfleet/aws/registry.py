"""The environment's registry in ECR, as the operator writes to it."""

import base64

from hubfleet.clients.aws import Aws
from hubfleet.clients.aws_fleet import AwsFleet
from hubfleet.clients.registry import Registry
from hubfleet.fleet.aws_names import AwsNames


def address(environment: str, aws: AwsFleet) -> str:
    """Return the registry of an environment in the account in use, as terraform/registry.tf has it.

    Raises CommandError where there are no credentials or AWS is not reached.
    """
    who = aws.call("sts", "get_caller_identity")
    partition = who["Arn"].split(":")[1]
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    return f"{who['Account']}.dkr.ecr.{aws.region}.{suffix}/{AwsNames(environment).stack}"


def registry(aws: Aws, address: str) -> Registry:
    """Return the writing side of `address` (output `registry`), with a password for twelve hours.

    Raises what `Aws.refusals` raises.
    """
    with aws.refusals("there is no login at ECR"):
        (given,) = aws.call("ecr", "get_authorization_token")["authorizationData"]
    user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
    return Registry(address, None, user, password)
