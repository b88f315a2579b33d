"""The whole attribute tree as one typed model, and the parts that hub and controller read.

Needs nothing but pydantic, `hubfleet.errors` and the other `hubfleet.settings_*` modules: the hub
image imports it to read the settings that Chef has rendered.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError, model_validator

from hubfleet.errors import SettingsError
from hubfleet.settings_autoscaler import Autoscaler, Classes
from hubfleet.settings_chef import ChefServer
from hubfleet.settings_sections import (
    ChefClient,
    Docker,
    Firewall,
    FleetSettings,
    Hub,
    Images,
    Notebook,
    Registry,
    Secrets,
    Storage,
    Swarm,
)
from hubfleet.settings_tls import Tls
from hubfleet.settings_types import Section, require_disjoint, require_distinct

SectionT = TypeVar("SectionT", bound=Section)


class HubView(Section):
    """What JupyterHub reads; the hub cookbook renders it from node attributes."""

    fleet: FleetSettings
    hub: Hub
    images: Images
    notebook: Notebook
    registry: Registry
    storage: Storage
    swarm: Swarm


class ControllerView(HubView):
    """What the controller reads."""

    autoscaler: Autoscaler
    classes: Classes


class Settings(ControllerView):
    """The whole attribute tree of one environment, over all roles."""

    chef_client: ChefClient
    chef_server: ChefServer
    docker: Docker
    firewall: Firewall
    secrets: Secrets
    tls: Tls

    @model_validator(mode="after")
    def _whole(self) -> Self:
        require_distinct(
            **{
                "registry.port": self.registry.port,
                "registry.push_port": self.registry.push_port,
                "chef_server.port": self.chef_server.port,
                "chef_server.install.port": self.chef_server.install.port,
                "nginx": 443,
            }
        )
        if self.hub.authenticator == "dummy" and self.fleet.backend != "local":
            raise ValueError("hub.authenticator dummy is only for fleet.backend local")
        if self.docker.log_driver == "awslogs" and self.fleet.backend != "aws":
            raise ValueError("docker.log_driver awslogs is only for fleet.backend aws")
        if self.tls.source == "acme" and self.fleet.backend != "aws":
            raise ValueError(
                "tls.source acme is only for fleet.backend aws: it needs a public name"
            )
        problem = self.fleet.aws.problem(self.fleet.zone)
        if self.fleet.backend == "aws" and problem:
            raise ValueError(f"fleet.{problem}")
        host = urlsplit(self.hub.oauth.callback_url).hostname
        if self.fleet.backend == "aws" and host not in {None, self.fleet.aws.host}:
            raise ValueError(f"hub.oauth.callback_url names {host}, not fleet.aws.host")
        networks = self.swarm.networks
        vpc = self.fleet.aws.network.cidr
        require_disjoint(
            **({"fleet.aws.network.cidr": vpc} if vpc else {}),
            **{
                "docker.address_pool.base": self.docker.address_pool.base,
                "swarm.default_addr_pool": self.swarm.default_addr_pool,
                "swarm.networks.notebooks.subnet": networks.notebooks.subnet,
                "swarm.networks.control.subnet": networks.control.subnet,
            },
        )
        return self


def read_hub_view(path: Path) -> tuple[str, HubView]:
    """Return what JupyterHub reads, as `read_view` does."""
    return read_view(path, HubView)


def read_view(path: Path, model: type[SectionT]) -> tuple[str, SectionT]:
    """Read the settings that the hub cookbook has rendered: the environment's name, and a view.

    Attributes of concerns that the view does not have are left aside. Raises SettingsError where
    the file is missing, broken or not what the models say.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        environment, attributes = document["environment"], document["attributes"]
        known = {key: value for key, value in attributes.items() if key in model.model_fields}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path}: {error!r}") from error
    return environment, parse(model, known, str(path))


def parse(model: type[SectionT], document: Mapping[str, Any], source: str) -> SectionT:
    """Check `document` against `model`; SettingsError names `source` and every wrong key."""
    try:
        # Strict types and JSON input: a list is what JSON has for a tuple, nothing else converts.
        return model.model_validate_json(json.dumps(document))
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"])
            text = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{source}: {where}: {text}" if where else f"{source}: {text}")
        raise SettingsError("\n".join(lines)) from error
