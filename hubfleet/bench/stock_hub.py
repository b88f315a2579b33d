"""JupyterHub's configuration for the baseline: dockerspawner's own SwarmSpawner.

This text runs as `jupyterhub_config.py` in a second hub of the same image. Everything but the
spawner is what our hub has: image, command, limits, home, network, login.
"""

from pathlib import Path
from typing import Any

from hubfleet.hub.homes import ensure_home
from hubfleet.settings_model import HubView, read_hub_view

SETTINGS = "/etc/hubfleet/settings.json"
PASSWORD = "/run/bench/login_password"
NAME = "hubfleet-bench"
"""Name of the service, and so its name on the network."""

HOME = "/home/student"
_SECOND = 1_000_000_000


def configure(c: Any, settings: HubView) -> None:
    """Set all traits of the stock hub."""
    c.JupyterHub.bind_url = "http://:8000"
    c.JupyterHub.hub_bind_url = f"http://0.0.0.0:{settings.hub.api_port}"
    c.JupyterHub.hub_connect_url = f"http://{NAME}:{settings.hub.api_port}"
    c.JupyterHub.db_url = "sqlite:////tmp/jupyterhub.sqlite"
    c.JupyterHub.cookie_secret_file = "/tmp/cookie_secret"
    c.JupyterHub.authenticator_class = "dummy"
    c.DummyAuthenticator.password = Path(PASSWORD).read_text().strip()
    c.Authenticator.allow_all = True
    c.ConfigurableHTTPProxy.pid_file = "/tmp/proxy.pid"
    c.JupyterHub.spawner_class = "dockerspawner.SwarmSpawner"
    _server(c, settings)


def _server(c: Any, settings: HubView) -> None:
    """Make a server what it is with our spawner, as far as the stock one lets us.

    dnsrr and on-failure are what dockerspawner's users set: without IP_VS its default endpoint
    does not work at all, and with the default policy a server that was shut down comes back.
    """
    notebook, image = settings.notebook, settings.images.notebook
    c.SwarmSpawner.image = f"registry.{settings.fleet.zone}/{image.repository}:{image.tag}"
    c.SwarmSpawner.network_name = "notebooks"
    c.SwarmSpawner.extra_endpoint_spec = {"mode": "dnsrr"}
    c.SwarmSpawner.extra_placement_spec = {"constraints": ["node.role==worker"]}
    c.SwarmSpawner.extra_task_spec = {
        "restart_policy": {
            "Condition": "on-failure",
            "Delay": _SECOND,
            "MaxAttempts": 5,
            "Window": 120 * _SECOND,
        }
    }
    c.SwarmSpawner.extra_container_spec = {
        "user": f"{notebook.uid}:{notebook.uid}",
        "workdir": HOME,
        "cap_drop": ["ALL"],
        "stop_grace_period": notebook.stop_grace_s * _SECOND,
    }
    c.Spawner.cmd = ["jupyterhub-singleuser"]
    c.Spawner.default_url = notebook.default_url
    c.Spawner.disable_user_config = True
    c.Spawner.http_timeout = 120
    c.Spawner.start_timeout = 120
    c.Spawner.mem_limit = f"{notebook.memory_limit_mb}M"
    c.Spawner.mem_guarantee = f"{notebook.memory_guarantee_mb}M"
    c.Spawner.cpu_limit = notebook.cpu_limit
    c.Spawner.cpu_guarantee = notebook.cpu_guarantee

    def make_home(spawner: Any) -> None:
        home = ensure_home(Path(settings.storage.homes), spawner.user.name, notebook.uid)
        spawner.volumes = {str(home): HOME}

    c.Spawner.pre_spawn_hook = make_home


if "get_config" in globals():
    configure(globals()["get_config"](), read_hub_view(Path(SETTINGS))[1])
