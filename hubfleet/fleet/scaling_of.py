"""The fleet's back end that an environment names, as the controller handles it."""

from pathlib import Path

from hubfleet.clients.fleet_local import FleetService, service_url
from hubfleet.errors import SettingsError
from hubfleet.fleet.scaling import ScalingFleet
from hubfleet.fleet.scaling_local import LocalScaling
from hubfleet.settings_model import ControllerView


def scaling_fleet(settings: ControllerView, secrets: Path, ca_file: Path) -> ScalingFleet:
    """Return the workers of a deployment. Raises SettingsError for a back end that there is not."""
    if settings.fleet.backend != "local":
        raise SettingsError(
            f"fleet.backend {settings.fleet.backend!r} has no controller in this version",
            "set fleet.backend to local",
        )
    token = (secrets / "fleet_token").read_text().strip()
    return LocalScaling(FleetService(service_url(settings.fleet.zone), token, ca_file))
