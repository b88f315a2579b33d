"""A second, throw-away hub with the stock spawner, beside the deployment's own.

It runs on the hub node as one Swarm service with a proxy of its own. From outside it is reached
through a small forwarder on the node, since the firewall keeps published ports for the node itself.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from hubfleet.bench.stock_hub import NAME, PASSWORD, SETTINGS
from hubfleet.clients.web import get_json
from hubfleet.errors import CommandError
from hubfleet.fleet.base import Fleet, Instance
from hubfleet.settings import Settings

CONFIG_DIR = "/run/hubfleet-bench"
OPEN_PORT = 8100
"""Where the forwarder listens on the hub node."""

NODE_PORT = 8101
"""Where the service is published on the hub node, for the node itself."""

FORWARDER = "/usr/lib/systemd/systemd-socket-proxyd"
READY_S = 120
COMMAND_S = 60
SERVER_PREFIX = "jupyter-bench-"
"""dockerspawner's prefix, then that of the benchmark's students."""


@contextmanager
def stock_hub(fleet: Fleet, hub: Instance, settings: Settings, ca: Path) -> Iterator[str]:
    """Run the stock hub for the block and give its address; nothing of it stays behind.

    Raises CommandError where it does not come up.
    """
    _remove(fleet, hub)
    try:
        _start(fleet, hub, settings)
        url = f"http://{hub.address}:{OPEN_PORT}"
        _wait(fleet, hub, f"{url}/hub/health", ca)
        yield url
    finally:
        _remove(fleet, hub)


def run_on(fleet: Fleet, node: Instance, argv: Sequence[str]) -> str:
    """Run a program on a node and return what it printed; raise CommandError where it fails."""
    done = fleet.run(node.id, argv, COMMAND_S)
    if done.returncode != 0:
        words = " ".join(argv[:3])
        raise CommandError(f"`{words} ...` failed on {node.id}", "", done.stderr or done.stdout)
    return done.stdout


def remove_services(fleet: Fleet, hub: Instance, prefix: str) -> None:
    """Remove all Swarm services whose names begin with `prefix`."""
    found = run_on(fleet, hub, ["docker", "service", "ls", "--format", "{{.Name}}"]).split()
    if names := [name for name in found if name.startswith(prefix)]:
        run_on(fleet, hub, ["docker", "service", "rm", *names])


def service(image: str, settings: Settings) -> list[str]:
    """Return the command that starts the stock hub's service. Pure."""
    secret = f"{settings.secrets.path}/hub/login_password"
    homes = settings.storage.homes
    binds = {
        "/var/run/docker.sock": "/var/run/docker.sock",
        homes: homes,
        SETTINGS: SETTINGS,
        f"{CONFIG_DIR}/jupyterhub_config.py": "/run/bench/jupyterhub_config.py",
        secret: PASSWORD,
    }
    mounts = [
        word
        for source, target in binds.items()
        for word in ("--mount", f"type=bind,source={source},target={target}")
    ]
    return [
        *("docker", "service", "create", "--detach", "--quiet", "--no-resolve-image"),
        *("--name", NAME, "--network", "notebooks", "--endpoint-mode", "dnsrr"),
        *("--publish", f"mode=host,target=8000,published={NODE_PORT}"),
        *("--constraint", "node.role==manager", "--limit-memory", "1024M"),
        *mounts,
        *(image, "jupyterhub", "-f", "/run/bench/jupyterhub_config.py"),
    ]


def _start(fleet: Fleet, hub: Instance, settings: Settings) -> None:
    spec = find_spec("hubfleet.bench.stock_hub")
    assert spec is not None and spec.origin is not None
    text = Path(spec.origin).read_text(encoding="utf-8")
    file = f"{CONFIG_DIR}/jupyterhub_config.py"
    write = 'umask 077 && mkdir -p "${2%/*}" && printf %s "$1" > "$2"'
    run_on(fleet, hub, ["sh", "-c", write, "sh", text, file])
    template = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
    image = run_on(
        fleet, hub, ["docker", "service", "inspect", "hubfleet_hub", "--format", template]
    ).strip()
    run_on(fleet, hub, service(image, settings))
    listen = f"--socket-property=ListenStream=0.0.0.0:{OPEN_PORT}"
    command = [FORWARDER, f"127.0.0.1:{NODE_PORT}"]
    run_on(fleet, hub, ["systemd-run", "--quiet", f"--unit={NAME}", listen, *command])


def _wait(fleet: Fleet, hub: Instance, url: str, ca: Path) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            get_json(url, ca)
            return
        except CommandError as error:
            if time.monotonic() > deadline:
                log = ["docker", "service", "logs", "--tail", "20", NAME]
                done = fleet.run(hub.id, log, COMMAND_S)
                raise CommandError(error.message, "", done.stdout + done.stderr) from error
        time.sleep(0.5)


def _remove(fleet: Fleet, hub: Instance) -> None:
    """Take away whatever is there of it; each step is tried whatever became of the others."""
    for unit in (f"{NAME}.socket", f"{NAME}.service"):
        fleet.run(hub.id, ["systemctl", "stop", unit], COMMAND_S)
        fleet.run(hub.id, ["systemctl", "reset-failed", unit], COMMAND_S)
    fleet.run(hub.id, ["rm", "-rf", CONFIG_DIR], COMMAND_S)
    remove_services(fleet, hub, NAME)
    remove_services(fleet, hub, SERVER_PREFIX)
