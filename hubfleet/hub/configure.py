"""JupyterHub's configuration from the settings that Chef rendered."""

import os
import sys
from pathlib import Path
from typing import Any

from hubfleet.errors import SettingsError
from hubfleet.hub.authentication import authenticate
from hubfleet.hub.line import Line
from hubfleet.hub.notice import PATH, NoticeHandler
from hubfleet.hub.placement import Placement
from hubfleet.hub.service import NETWORK
from hubfleet.hub.spawner import FleetSpawner
from hubfleet.hub.wait import WaitingRoom
from hubfleet.settings_model import HubView, read_hub_view

SECRETS = Path("/run/secrets")
"""Where Swarm mounts a service's secrets."""

REPORT = Path("/var/lib/hubfleet/fleet/report.json")
"""What the controller publishes; cookbook jupyterhub mounts its directory."""

IMAGE = "HUBFLEET_NOTEBOOK_IMAGE"
"""Variable with the reference of the notebook image; only the node knows its registry."""

TEMPLATES = Path(__file__).parent / "templates"

ROUTES_S = 10
"""Seconds after which a restarted proxy serves running servers again, at most."""

CULL_EVERY_S = 300
"""Between two looks for servers that nobody uses."""

LONGEST_LINE_S = 900
"""A class of 300 that comes at once is through the line by then, at 3 s a start and 1 at a time."""


def configure(c: Any, settings_file: str | Path, secrets: Path = SECRETS) -> None:
    """Set all traits of the hub on `c`, JupyterHub's configuration object.

    Raises SettingsError where the settings file, a secret or the variable IMAGE is wrong; the hub
    does not start then.
    """
    environment, settings = read_hub_view(Path(settings_file))
    if not (image := os.environ.get(IMAGE, "")):
        raise SettingsError(f"{IMAGE} is not set", "it stands in the stack of cookbook jupyterhub")
    _hub(c, settings, secrets)
    _controller(c, secrets)
    _culler(c, settings.hub.idle_s)
    _spawner(c, settings, image)
    authenticate(c, environment, settings, secrets)


def _hub(c: Any, settings: HubView, secrets: Path) -> None:
    hub = settings.hub
    c.JupyterHub.bind_url = f"http://:{hub.port}"
    c.JupyterHub.hub_bind_url = f"http://0.0.0.0:{hub.api_port}"
    # The service's name: a container's address or id would be wrong after a restart, while the
    # students' servers keep what they were started with.
    c.JupyterHub.hub_connect_url = f"http://hub:{hub.api_port}"
    c.JupyterHub.db_url = f"sqlite:///{hub.data_dir}/jupyterhub.sqlite"
    c.JupyterHub.cookie_secret_file = str(secrets / "cookie_secret")
    # A new JupyterHub brings its database up to date, and keeps a copy of the old one.
    c.JupyterHub.upgrade_db = True
    # nginx speaks TLS only, so no cookie needs to travel without.
    c.JupyterHub.tornado_settings = {"cookie_options": {"secure": True, "samesite": "Lax"}}
    # Nobody's server ends because the hub does.
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.cleanup_proxy = False
    # With this look at the proxy's routes, those it lost in a restart come back; nothing else
    # watches a proxy that the hub has not started.
    c.JupyterHub.last_activity_interval = ROUTES_S
    # The spawner's own line tells a student to wait where the hub would refuse with an error.
    c.JupyterHub.concurrent_spawn_limit = 0
    c.JupyterHub.allow_named_servers = False
    c.JupyterHub.extra_handlers = [(PATH, NoticeHandler, {"report_file": REPORT})]
    c.JupyterHub.template_paths = [str(TEMPLATES)]
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = "http://proxy-api:8001"
    c.ConfigurableHTTPProxy.auth_token = (secrets / "proxy_token").read_text().strip()


def _controller(c: Any, secrets: Path) -> None:
    """Let the controller see who has a server, start and stop them, and see the routes."""
    token = (secrets / "fleet_api_token").read_text().strip()
    c.JupyterHub.services = [{"name": "fleet", "api_token": token}]
    scopes = ["list:users", "read:users", "servers", "admin:server_state", "list:groups"]
    c.JupyterHub.load_roles = [
        {"name": "fleet", "services": ["fleet"], "scopes": [*scopes, "read:groups", "proxy"]}
    ]


def _culler(c: Any, idle_s: int) -> None:
    """Have servers stopped that nobody uses: students close the page, and no worker gets empty.

    A kernel that computes, and a page that is open, are use. The scopes are those of its README.
    """
    if not idle_s:
        return
    times = [f"--timeout={idle_s}", f"--cull-every={min(CULL_EVERY_S, idle_s // 2)}"]
    command = [sys.executable, "-m", "jupyterhub_idle_culler", *times]
    scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
    c.JupyterHub.services.append({"name": "idle-culler", "command": command})
    c.JupyterHub.load_roles.append(
        {"name": "idle-culler", "services": ["idle-culler"], "scopes": scopes}
    )


def _spawner(c: Any, settings: HubView, image: str) -> None:
    c.JupyterHub.spawner_class = FleetSpawner
    c.FleetSpawner.settings = settings
    c.FleetSpawner.placement = Placement(REPORT)
    c.FleetSpawner.report_file = REPORT
    c.FleetSpawner.room = WaitingRoom()
    c.FleetSpawner.line = Line(settings.hub.concurrent_spawn_limit)
    c.FleetSpawner.image = image
    c.FleetSpawner.network_name = NETWORK
    # Without a command the spawner would inspect the image, which the hub's engine does not have.
    c.FleetSpawner.cmd = ["jupyterhub-singleuser"]
    c.Spawner.default_url = settings.notebook.default_url
    c.Spawner.disable_user_config = True
    # The spawner ends a start after start_timeout_s, with its reason; the hub's own message is
    # empty, and its clock runs while a student stands in line.
    c.Spawner.start_timeout = settings.hub.start_timeout_s + LONGEST_LINE_S
    # The spawner waits until a new server answers; this counts when the hub finds running servers
    # after its own restart, and one of them may just be moving to another worker.
    c.Spawner.http_timeout = settings.hub.start_timeout_s + settings.hub.http_timeout_s
    c.Spawner.mem_limit = f"{settings.notebook.memory_limit_mb}M"
    c.Spawner.mem_guarantee = f"{settings.notebook.memory_guarantee_mb}M"
    c.Spawner.cpu_limit = settings.notebook.cpu_limit
    c.Spawner.cpu_guarantee = settings.notebook.cpu_guarantee
    c.Spawner.environment = {"HUBFLEET_NODE": "{{.Node.Hostname}}"}
