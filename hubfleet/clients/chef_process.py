"""A Chef API as a process of this machine: the embedded one, or plain chef-zero.

For tests and benchmarks: the very code that the cookbook chef_api installs, without TLS and without
a sandbox, on a loopback port, with its data in a directory of the caller.
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hubfleet.errors import CommandError
from hubfleet.state import ROOT

PROGRAM = ROOT / "cookbooks/chef_api/files/default/hubfleet-chef-api/bin/hubfleet-chef-api"
ORGANIZATION = "hubfleet"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10
POLL_S = 0.05


@dataclass
class ChefProcess:
    """A running server; `url` is its organization's."""

    url: str
    program: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Number of the server's process."""
        return self.program.pid

    def resident_mb(self) -> float:
        """Return the memory that the process occupies, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def cpu_s(self) -> float:
        """Return the seconds of CPU time that the process has used: utime and stime of proc(5)."""
        stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        # The program's name stands in brackets and may hold anything.
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End the process at once, as a power failure would."""
        self.program.send_signal(signal.SIGKILL)
        self.program.wait()

    def stop(self) -> None:
        """End the process, with a moment to finish what it has begun."""
        self.program.terminate()
        try:
            self.program.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()


def start_embedded(
    directory: Path,
    public_keys: dict[str, Path],
    port: int | None = None,
    clock_skew_s: int = 900,
    program: Sequence[str] = (str(PROGRAM),),
) -> ChefProcess:
    """Start the embedded server with its data under `directory`, which may hold data already.

    `public_keys`: files of the clients that exist from the start; `operator` is the administrator,
    `bootstrap` the validator, `fleet` the controller. `program` is what is started, its last
    argument is the file of the settings. Raises CommandError where it does not come up.
    """
    directory.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    settings = {
        "organization": ORGANIZATION,
        "port": port,
        "data_dir": str(directory / "data"),
        "clock_skew_s": clock_skew_s,
        "clients": [
            {
                "name": name,
                "admin": name == "operator",
                "validator": name == "bootstrap",
                "controller": name == "fleet",
                "public_key_file": str(file),
            }
            for name, file in public_keys.items()
        ],
    }
    file = directory / "settings.json"
    file.write_text(json.dumps(settings), encoding="utf-8")
    return _start([*program, str(file)], directory / "server.log", port, "/_status")


def start_chef_zero(directory: Path, port: int | None = None) -> ChefProcess:
    """Start plain chef-zero, which keeps its data in memory and checks nothing."""
    directory.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    argv = ["chef-zero", "--host", "127.0.0.1", "--port", str(port), "--multi-org"]
    return _start(argv, directory / "server.log", port, "/version")


@contextmanager
def running(server: ChefProcess) -> Iterator[ChefProcess]:
    """Stop the server in the end."""
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(argv: list[str], log: Path, port: int, ready: str) -> ChefProcess:
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    with log.open("ab") as stream:
        program = subprocess.Popen(
            [str(ROOT / "bin" / "_bundle"), *argv],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    server = ChefProcess(f"http://127.0.0.1:{port}/organizations/{ORGANIZATION}", program, log)
    deadline = time.monotonic() + START_TIMEOUT_S
    while program.poll() is None and time.monotonic() < deadline:
        if _answers(f"http://127.0.0.1:{port}{ready}"):
            return server
        time.sleep(POLL_S)
    server.stop()
    words = log.read_text(errors="replace")[-2000:]
    raise CommandError("the Chef API did not come up", f"read {log}", words)


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=1):
            return True
    except OSError:
        return False
