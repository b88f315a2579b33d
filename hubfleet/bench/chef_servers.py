"""The servers that are compared, each with the project's policies published to it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hubfleet import policy
from hubfleet.bench.chef_plan import GROUP, Policy, Signer
from hubfleet.clients import chefcli
from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_process import (
    ORGANIZATION,
    PROGRAM,
    ChefProcess,
    running,
    start_chef_zero,
    start_embedded,
)
from hubfleet.clients.chef_run import ChefClient
from hubfleet.errors import HubfleetError
from hubfleet.pki import ensure_rsa_key, public_pem
from hubfleet.state import ROOT

HUB, WORKER = "hub", "swarm_worker"

HARMLESS = "bench_harmless"
"""Policy of the real chef-clients: they run on this very machine, and change nothing."""

OPERATOR = "operator"

WEB = Path(__file__).with_name("chef_web.rb")
"""Serves the embedded API by a web server that is named."""

CONFIGURATION = """\
chef_server_url '{url}'
node_name 'operator'
client_key '{key}'
authentication_protocol_version '1.3'
"""


@dataclass(frozen=True)
class Site:
    """A server that runs, the keys of its clients, and whether it looks at signatures."""

    server: ChefProcess
    keys: Path
    checks: bool

    @property
    def chef(self) -> Chef:
        """The server as its operator sees it."""
        # Over plain HTTP no CA is asked; the file must only be there.
        key = self.keys / f"{OPERATOR}.pem"
        return Chef(self.server.url, key, key, OPERATOR)

    def publish(self, names: Sequence[str], directory: Path) -> None:
        """Publish policies of the project, and the harmless one, as an operator does."""
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "config.rb"
        text = CONFIGURATION.format(url=self.server.url, key=self.keys / f"{OPERATOR}.pem")
        config.write_text(text, encoding="utf-8")
        for name in names:
            archive = policy.export(name, directory / "archives", GROUP)
            chefcli.push_archive(ROOT, archive, GROUP, config)
        file = _write_harmless(directory / "harmless")
        chefcli.update(ROOT, str(file))
        chefcli.push(ROOT, str(file), GROUP, config)

    def policy(self, name: str) -> Policy:
        """Return a published policy, with all that a node downloads for it."""
        chef = self.chef
        lock = chef.policy_revision(name, chef.policy_groups()[GROUP][name]) or {}
        manifests = []
        for cookbook, entry in lock.get("cookbook_locks", {}).items():
            manifest = chef.wire.object(
                "GET", f"/cookbook_artifacts/{cookbook}/{entry['identifier']}"
            )
            manifests.append(manifest)
        return Policy.of(lock, manifests)

    def signer(self, name: str) -> Signer:
        """Return a client of the server, made with a key of its own where keys matter."""
        root = urlsplit(self.server.url).path
        if not self.checks:
            return Signer(root, name, None)
        key = ensure_rsa_key(self.keys / f"{name}.pem")
        self.chef.create_client(name, public_pem(key))
        return Signer(root, name, key)

    def client(self, name: str, directory: Path) -> ChefClient:
        """Return a real chef-client with an empty cache, which the server knows already."""
        directory.mkdir(parents=True)
        key = ensure_rsa_key(directory / f"{name}.pem")
        self.chef.create_client(name, public_pem(key))
        return ChefClient(directory, name, self.server.url, GROUP, HARMLESS)


@contextmanager
def embedded(directory: Path, web: str = "") -> Iterator[Site]:
    """Run the embedded server with its data in `directory`, behind another web server by name.

    Keys lie beside the directory: servers of one run share them.
    """
    keys = _operator(directory)
    public = {OPERATOR: keys / "operator.pub"}
    program = ("ruby", str(WEB), web) if web else (str(PROGRAM),)
    with running(start_embedded(directory / "server", public, program=program)) as server:
        yield Site(server, keys, checks=True)


@contextmanager
def chef_zero(directory: Path) -> Iterator[Site]:
    """Run plain chef-zero, with an organization of the same name."""
    keys = _operator(directory)
    with running(start_chef_zero(directory / "server")) as server:
        root = server.url.removesuffix(f"/organizations/{ORGANIZATION}")
        key = keys / f"{OPERATOR}.pem"
        document = {"name": ORGANIZATION, "full_name": ORGANIZATION}
        Chef(root, key, key, OPERATOR).wire.object("POST", "/organizations", document)
        yield Site(server, keys, checks=False)


def _operator(directory: Path) -> Path:
    keys = directory.parent / "keys"
    keys.mkdir(parents=True, exist_ok=True)
    public = public_pem(ensure_rsa_key(keys / f"{OPERATOR}.pem"))
    (keys / f"{OPERATOR}.pub").write_text(public, encoding="ascii")
    return keys


def _write_harmless(directory: Path) -> Path:
    """Write a policy whose one recipe is empty; return its Policyfile."""
    cookbook = directory / "cookbook"
    for folder in ("recipes", "libraries", "files"):
        (cookbook / folder).mkdir(parents=True)
    (cookbook / "metadata.rb").write_text(f"name '{HARMLESS}'\nversion '1.0.0'\n")
    (cookbook / "recipes" / "default.rb").write_text("# Nothing to do.\n")
    (cookbook / "libraries" / "default.rb").write_text("# Nothing to know.\n")
    (cookbook / "files" / "empty.txt").write_text("Nothing to say.\n")
    file = directory / f"{HARMLESS}.rb"
    file.write_text(
        f"name '{HARMLESS}'\nrun_list '{HARMLESS}::default'\n"
        f"cookbook '{HARMLESS}', path: 'cookbook'\n"
    )
    return file


def node_of(site: Site, client: ChefClient) -> dict[str, object]:
    """Return the node that a real chef-client saves, with all that Ohai finds.

    Raises HubfleetError with its last words where it fails.
    """
    done = client.converge()
    if done.returncode != 0:
        raise HubfleetError(f"chef-client failed: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return site.chef.node(client.name)
