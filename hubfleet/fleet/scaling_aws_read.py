"""Look at the groups of an environment, at their instances and at what they tried in vain."""

from collections.abc import Mapping, Sequence
from typing import Any

from hubfleet.clients.aws_fleet import AwsFleet
from hubfleet.errors import CommandError
from hubfleet.fleet.aws_names import AwsNames
from hubfleet.fleet.scaling import Failure
from hubfleet.fleet.scaling_aws_view import Group, Member, failures_of, group_of, member_of

MOST_AT_ONCE = 100
"""Instances asked for in one call; EC2 takes 200 values of a filter."""


class AwsReader:
    """Reads one environment in one region. `pools` are those of autoscaler.pools.order."""

    def __init__(self, aws: AwsFleet, names: AwsNames, pools: Sequence[str]) -> None:
        self._aws, self._environment = aws, names.environment
        self.names = {pool: names.group(pool) for pool in pools}
        """The groups' names by pool."""
        self.pools = {group: pool for pool, group in self.names.items()}

    def groups(self) -> dict[str, Group]:
        """Return the groups by pool; CommandError where one is missing."""
        listed = self._aws.pages(
            "autoscaling",
            "describe_auto_scaling_groups",
            "AutoScalingGroups",
            AutoScalingGroupNames=list(self.pools),
        )
        documents = {str(each["AutoScalingGroupName"]): each for each in listed}
        for name in self.pools:
            if name not in documents:
                raise CommandError(
                    f"there is no Auto Scaling group {name} in {self._aws.region}",
                    f"./invoke deploy --env {self._environment} makes it; "
                    "check fleet.aws.region and the account",
                )
        return {
            pool: group_of(documents[name], self._environment) for pool, name in self.names.items()
        }

    def member(self, instance_id: str) -> Member | None:
        """Return an instance as its group knows it, None where it is in none of ours."""
        answer = self._aws.call(
            "autoscaling", "describe_auto_scaling_instances", InstanceIds=[instance_id]
        )
        for row in answer["AutoScalingInstances"]:
            group = str(row["AutoScalingGroupName"])
            if row["InstanceId"] == instance_id and group in self.pools:
                return member_of(row, group)
        return None

    def machines(self, instance_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return what EC2 says of instances, by id; it may not know the newest yet."""
        found: dict[str, Mapping[str, Any]] = {}
        for begin in range(0, len(instance_ids), MOST_AT_ONCE):
            # A filter: asked by their ids, EC2 would refuse all for one that it does not know.
            some = list(instance_ids[begin : begin + MOST_AT_ONCE])
            for reservation in self._aws.pages(
                "ec2",
                "describe_instances",
                "Reservations",
                Filters=[{"Name": "instance-id", "Values": some}],
            ):
                found |= {str(each["InstanceId"]): each for each in reservation["Instances"]}
        return found

    def failures(self, pool: str, since: float) -> list[Failure]:
        """Return a pool's orders since then that were not filled, the oldest first."""
        activities = self._aws.pages(
            "autoscaling",
            "describe_scaling_activities",
            "Activities",
            AutoScalingGroupName=self.names[pool],
        )
        return failures_of(activities, pool, since)
