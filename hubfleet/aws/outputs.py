"""What Terraform last said of an environment's stack, read from its state without Terraform.

The output `stack` (terraform/outputs.tf) is all that commands need to know that only look at an
environment, or lead to its machines: one request, where OpenTofu would fetch its provider first.
"""

import json
from typing import Any

from hubfleet.aws import states
from hubfleet.clients.aws import MISSING, Aws
from hubfleet.clients.aws_fleet import AwsRefusal
from hubfleet.errors import CommandError, PreconditionError

FORM = 4
"""Version of the state's form, since Terraform 0.12 and in all versions of OpenTofu."""

NO_STATE = MISSING | {"NoSuchKey"}


def read(environment: str, aws: Aws) -> dict[str, Any]:
    """Return the output `stack`, empty where nothing is deployed.

    Raises what `Aws.refusals` raises, and CommandError for a state in another form.
    """
    bucket = states.name(aws.identity().account, aws.region)
    try:
        with aws.refusals(f"the state of {environment} cannot be read"):
            answer = aws.call("s3", "get_object", Bucket=bucket, Key=environment)
            text = answer["Body"].read()
    except AwsRefusal as refusal:
        if refusal.code not in NO_STATE:
            raise
        return {}
    try:
        state = json.loads(text)
        form = state["version"]
        found: dict[str, Any] = state["outputs"].get("stack", {}).get("value", {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(
            f"s3://{bucket}/{environment} is no state of Terraform", "the bucket keeps versions"
        ) from error
    if form != FORM:
        raise CommandError(
            f"s3://{bucket}/{environment} is a state in form {form}, and {FORM} is known"
        )
    return found


def require(environment: str, aws: Aws) -> dict[str, Any]:
    """Return the output `stack`; PreconditionError where nothing is deployed, else as `read`."""
    found = read(environment, aws)
    if not found:
        raise PreconditionError(
            f"nothing of {environment} is deployed", f"./invoke deploy --env {environment}"
        )
    return found
