"""The section `fleet.aws`: what Terraform and Packer read of an environment on AWS."""

import ipaddress
import re
from typing import Annotated

from pydantic import Field

from hubfleet.settings_types import Section, dns_name

REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
"""Form of region names (EC2 User Guide, Regions and Zones)."""

VPC_PREFIXES = range(16, 25)
"""A VPC has 16 to 28 bits; below 24 there would be less than 16 addresses for each subnet."""

Gigabytes = Annotated[int, Field(ge=8)]
Percent = Annotated[int, Field(ge=0, le=100)]


class AwsNetwork(Section):
    """The VPC."""

    cidr: str = Field(description="Addresses of the VPC, as CIDR; empty where backend is local.")
    zones: Annotated[int, Field(ge=2, le=3)] = Field(description="Availability zones to use.")
    nat_gateways: Annotated[int, Field(ge=1, le=3)] = Field(
        description="Ways out for machines without a public address; each costs by the hour."
    )


class AwsInstances(Section):
    """Instance types, by role."""

    chef_server: str = Field(description="Type of the Chef server's machine.")
    hub: str = Field(description="Type of the hub's machine.")
    workers: tuple[str, ...] = Field(
        description="Types of workers, equal in memory and cores; spot takes what is to be had."
    )


class AwsDisks(Section):
    """Encrypted volumes, GB."""

    root_gb: Gigabytes = Field(description="Root volume of hub and Chef server.")
    worker_gb: Gigabytes = Field(description="Root volume of a worker, with the students' images.")
    state_gb: Gigabytes = Field(
        description="Volume for the data_dir of hub and Chef server; outlives the machine."
    )


class AwsSpot(Section):
    """How workers are bought."""

    on_demand_base: Annotated[int, Field(ge=0)] = Field(
        description="So many workers are never spot instances."
    )
    on_demand_percent: Percent = Field(description="Share of on-demand instances above the base.")


class AwsBaseImage(Section):
    """What Packer starts from."""

    owner: str = Field(description="Account that publishes the image.")
    name: str = Field(description="Name of the image; * stands for its date.")


class AwsBudget(Section):
    """The alarm about costs."""

    monthly_usd: Annotated[int, Field(ge=1)] = Field(description="Alarm at 80 and 100 % of it.")
    email: str = Field(description="Who is told.")


class AwsFleet(Section):
    """Machines on AWS; read by Terraform and Packer."""

    region: str = Field(description="Region; empty where backend is local.")
    dns_zone: str = Field(description="Public Route 53 zone; it must exist.")
    host: str = Field(description="Public name of the hub, in dns_zone.")
    network: AwsNetwork
    instances: AwsInstances
    disks: AwsDisks
    spot: AwsSpot
    base_image: AwsBaseImage
    budget: AwsBudget
    log_retention_days: Annotated[int, Field(ge=1)] = Field(
        description="CloudWatch keeps logs so long; a number that CloudWatch knows."
    )

    def problem(self, zone: str) -> str:
        """Return why no stack could be made with the private zone `zone`; empty where one could."""
        if not REGION.fullmatch(self.region):
            return f"aws.region: {self.region!r} is no region (see: aws ec2 describe-regions)"
        try:
            network = ipaddress.IPv4Network(self.network.cidr)
            dns_name(self.dns_zone)
            dns_name(self.host)
        except ValueError as error:
            return f"aws: {error}"
        workers = self.instances.workers
        wrong = {
            "aws.network.cidr is no private network of /16 to /24": not network.is_private
            or network.prefixlen not in VPC_PREFIXES,
            "aws.host is not in aws.dns_zone": not self.host.endswith(f".{self.dns_zone}"),
            "zone and aws.dns_zone are the same": zone == self.dns_zone,
            "aws.network.nat_gateways is more than zones": self.network.nat_gateways
            > self.network.zones,
            "aws.instances.workers is empty or names one twice": not workers
            or len(set(workers)) < len(workers),
            "aws.base_image needs an owner and a name": not self.base_image.owner
            or not self.base_image.name,
            "aws.budget.email is no address": "@" not in self.budget.email,
        }
        return next((text for text, there in wrong.items() if there), "")
