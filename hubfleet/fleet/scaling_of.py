"""The fleet's back end that an environment names, as the controller handles it."""

from pathlib import Path

from hubfleet.fleet.scaling import ScalingFleet
from hubfleet.settings_model import ControllerView


def scaling_fleet(
    environment: str, settings: ControllerView, secrets: Path, ca_file: Path
) -> ScalingFleet:
    """Return the workers of a deployment; on AWS there is one of each environment.

    `secrets` has the local service's token, `ca_file` its authority. What a back end needs is
    imported with it: AWS's library alone takes a quarter of a second.
    """
    if settings.fleet.backend == "aws":
        from hubfleet.clients.aws_fleet import AwsFleet
        from hubfleet.fleet.aws_names import AwsNames
        from hubfleet.fleet.scaling_aws import AwsScaling

        aws = AwsFleet(settings.fleet.aws.region)
        return AwsScaling(aws, AwsNames(environment), settings.autoscaler.pools.order)
    from hubfleet.clients.fleet_local import FleetService, service_url
    from hubfleet.fleet.scaling_local import LocalScaling

    token = (secrets / "fleet_token").read_text().strip()
    return LocalScaling(FleetService(service_url(settings.fleet.zone), token, ca_file))
