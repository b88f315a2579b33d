"""An ACME authority (Pebble, of Let's Encrypt) in a container of the node image, with no network.

The authority, its DNS, the web server that answers its challenges and the client are the real ones.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hubfleet.clients import engine, process
from hubfleet.errors import HubfleetError
from hubfleet.image_build import cache_dir
from hubfleet.pki import Authority
from hubfleet.state import ROOT

DIRECTORY = "https://localhost:14000/dir"
NAME = "hub.school.test"
SECRETS, STATE, CHALLENGES = "/var/lib/secrets", "/var/lib/acme", "/var/lib/challenges"
HERE = "/t"
ORDER = "new order"
START_S = 20.0

CONFIGURATION = {
    "pebble": {
        "listenAddress": "127.0.0.1:14000",
        "managementListenAddress": "127.0.0.1:15000",
        "certificate": f"{HERE}/server.crt",
        "privateKey": f"{HERE}/server.key",
        "httpPort": 80,
        "tlsPort": 443,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
    }
}


def programs() -> Path:
    """Return the folder with Pebble's programs, from Debian's package; skip where there is none."""
    folder = cache_dir() / "pebble"
    found = folder / "usr" / "bin"
    if not (found / "pebble").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            process.run(["apt-get", "download", "-q", "pebble"], cwd=folder, timeout=60)
            (package,) = folder.glob("pebble_*.deb")
            process.run(["dpkg", "-x", package, folder], timeout=60)
        except (HubfleetError, ValueError) as error:
            pytest.skip(f"this machine's apt has no package pebble, an ACME authority: {error}")
    return found


def prepare(folder: Path) -> None:
    """Write what the container is given: Pebble's configuration and its own certificate."""
    authority = Authority.ensure(folder / "ca.crt", folder / "ca.key", "Pebble's own")
    certificate, key = authority.issue(["localhost"])
    (folder / "server.crt").write_text(certificate)
    (folder / "server.key").write_text(key)
    (folder / "pebble.json").write_text(json.dumps(CONFIGURATION))
    (folder / "nginx.conf").write_text(
        f"error_log /dev/null; events {{}} http {{ access_log off; include {HERE}/site.conf; }}\n"
    )


@dataclass
class Room:
    """The container: the authority in it, and a machine that asks it."""

    container: str

    def run(self, *argv: str, timeout: float = 60) -> str:
        """Return what a program printed; it must succeed."""
        done = engine.execute(self.container, argv, timeout)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def shell(self, text: str) -> str:
        """Run a line of shell."""
        return self.run("sh", "-c", text)

    def start(self, **settings: str) -> None:
        """Start a new authority, which knows no account of an older one."""
        given = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", **settings}
        env = " ".join(f"{name}={value}" for name, value in given.items())
        argv = f"{HERE}/bin/pebble -config {HERE}/pebble.json -dnsserver 127.0.0.1:8053"
        self.shell(f"{env} {argv} > /var/log/pebble 2>&1 < /dev/null & echo $! > /var/log/pid")
        self._until(f"curl -sf --cacert {HERE}/ca.crt {DIRECTORY}")

    def stop(self) -> None:
        """End the authority."""
        self.shell(
            "kill $(cat /var/log/pid); while kill -0 $(cat /var/log/pid); do sleep 0.1; done"
        )

    def start_others(self) -> None:
        """Start DNS, and nginx with the site of port 80."""
        listen = "-dns01 127.0.0.1:8053 -http01 '' -https01 '' -tlsalpn01 '' -defaultIPv6 ''"
        program = f"{HERE}/bin/pebble-challtestsrv -management 127.0.0.1:8055 {listen}"
        self.shell(f"{program} > /var/log/dns 2>&1 < /dev/null &")
        self.shell(f"mkdir -p {SECRETS}/hub {STATE}/hub {CHALLENGES}")
        template = f"{HERE}/cookbooks/web_tls/templates/acme.conf.erb"
        render = f"ruby {HERE}/acme/render.rb {template} {NAME} {CHALLENGES}"
        self.shell(f"{render} > {HERE}/site.conf && nginx -c {HERE}/nginx.conf")
        self._until("curl -s http://127.0.0.1:8055/")

    def dns(self, what: str) -> None:
        """Tell the DNS server something about the name."""
        data = json.dumps({"host": NAME})
        self.run("curl", "-sf", "-d", data, f"http://127.0.0.1:8055/{what}")

    def ask(self, later: int = 0) -> dict[str, Any]:
        """Do what a converge does `later` seconds from now; return what came of it."""
        argv = [f"{HERE}/cookbooks", DIRECTORY, NAME, SECRETS, STATE, str(later)]
        # On a node the system's authorities vouch for the directory; they do not know Pebble.
        env = ["env", f"CURL_CA_BUNDLE={HERE}/ca.crt", "GEM_PATH=/opt/chef"]
        text = self.run(*env, "ruby", f"{HERE}/acme/try.rb", *argv, timeout=180)
        found: dict[str, Any] = json.loads(text.splitlines()[-1])
        return found

    def state(self) -> dict[str, Any]:
        """Return what the machine has noted of its last try."""
        found: dict[str, Any] = json.loads(self.run("cat", f"{STATE}/state.json"))
        return found

    def requests(self, path: str) -> int:
        """Return how often the authority was asked for a path since it was started."""
        return self.run("cat", "/var/log/pebble").count(path)

    def _until(self, text: str) -> None:
        """Wait until a line of shell succeeds."""
        deadline = time.monotonic() + START_S
        while engine.execute(self.container, ["sh", "-c", text], 10).returncode != 0:
            assert time.monotonic() < deadline, self.shell("cat /var/log/pebble /var/log/dns")
            time.sleep(0.1)


def binds(folder: Path) -> dict[str, dict[str, str]]:
    """Return what a container of these tests sees of this machine, as the SDK wants it."""
    own = {
        folder: (HERE, "rw"),
        programs(): (f"{HERE}/bin", "ro"),
        ROOT / "cookbooks": (f"{HERE}/cookbooks", "ro"),
        Path(__file__).with_name("acme"): (f"{HERE}/acme", "ro"),
    }
    return {str(path): {"bind": where, "mode": mode} for path, (where, mode) in own.items()}
