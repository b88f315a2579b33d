"""What AWS says of an environment that is deployed: machines, group, queue, homes, certificate.

Each function raises what `Aws.refusals` raises, or CommandError, where its part does not answer.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hubfleet.clients.aws import Aws
from hubfleet.clients.web import served_certificate
from hubfleet.fleet.aws_names import DEPLOYMENT_TAG, AwsNames
from hubfleet.fleet.base import Role
from hubfleet.fleet.scaling_aws_read import AwsReader
from hubfleet.fleet.scaling_aws_view import Group
from hubfleet.pki import CertificateInfo, of_der

ROLE_TAG = "hubfleet.role"
"""Machines of a stack have it; those on which Packer builds do not."""

LIVE = ("pending", "running", "stopping", "stopped", "shutting-down")
"""States of an instance that is not gone (EC2 user guide, instance life cycle)."""

HTTPS = 443


@dataclass(frozen=True)
class Machine:
    """An EC2 instance of the stack."""

    id: str
    role: str
    state: str
    """In EC2's words."""
    address: str
    type: str
    market: str
    """spot or on-demand."""
    image: str
    image_is_current: bool | None
    """Whether the stack would start this role from the same image now, where that is known."""
    launched_at: str
    """ISO 8601, UTC."""


def machines(aws: Aws, environment: str, images: Mapping[str, str]) -> list[Machine]:
    """Return all that are not gone, by role, then by launch; `images` are the stack's, by role."""
    filters = [
        {"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [environment]},
        {"Name": "tag-key", "Values": [ROLE_TAG]},
        {"Name": "instance-state-name", "Values": list(LIVE)},
    ]
    with aws.refusals("the machines cannot be told"):
        pages = aws.pages("ec2", "describe_instances", "Reservations", Filters=filters)
        found = [_machine(each, images) for group in pages for each in group["Instances"]]
    order = {role.value: number for number, role in enumerate(Role)}
    return sorted(found, key=lambda each: (order.get(each.role, len(order)), each.launched_at))


def _machine(document: Mapping[str, Any], images: Mapping[str, str]) -> Machine:
    tags = {str(tag["Key"]): str(tag["Value"]) for tag in document["Tags"]}
    role, image = tags[ROLE_TAG], str(document["ImageId"])
    return Machine(
        id=str(document["InstanceId"]),
        role=role,
        state=str(document["State"]["Name"]),
        address=str(document.get("PrivateIpAddress") or ""),
        type=str(document["InstanceType"]),
        market=str(document.get("InstanceLifecycle") or "on-demand"),
        image=image,
        image_is_current=image == images[role] if images.get(role) else None,
        launched_at=document["LaunchTime"].isoformat(),
    )


def group(aws: Aws, environment: str, pool: str) -> Group:
    """Return the Auto Scaling group of a pool."""
    with aws.refusals("the Auto Scaling group cannot be told"):
        return AwsReader(aws, AwsNames(environment), [pool]).groups()[pool]


def lifecycle(group: Group) -> dict[str, int]:
    """Return how many instances of a group are in each state of Auto Scaling's life cycle."""
    return dict(sorted(Counter(member.lifecycle for member in group.members).items()))


def queue(aws: Aws, outputs: Mapping[str, Any]) -> dict[str, int]:
    """Return how many messages wait, are being handled, and could be handled by nobody (about)."""
    waiting, hidden = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"

    def ask(url: str) -> dict[str, int]:
        answer = aws.call(
            "sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=[waiting, hidden]
        )
        return {name: int(number) for name, number in answer["Attributes"].items()}

    with aws.refusals("the queue cannot be told"):
        events, dead = ask(outputs["queue"]), ask(outputs["dead_letters"])
    return {
        "waiting": events[waiting],
        "in_flight": events[hidden],
        # One that somebody looks at just now is there as well.
        "dead": dead[waiting] + dead[hidden],
    }


def homes(aws: Aws, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file system of the homes, and its size in bytes as EFS metered it last."""
    file_system = outputs["homes"]["file_system"]
    with aws.refusals("the homes cannot be told"):
        answer = aws.call("efs", "describe_file_systems", FileSystemId=file_system)
    (found,) = answer["FileSystems"]
    return {"file_system": file_system, "bytes": int(found["SizeInBytes"]["Value"])}


def certificate(url: str) -> CertificateInfo:
    """Return the certificate that the hub shows, named by its host, valid or not."""
    place = urlsplit(url)
    host = str(place.hostname)
    return of_der(host, served_certificate(host, place.port or HTTPS))
