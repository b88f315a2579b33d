"""A deployment on an external server, and the ecosystem's own commands, typed as everybody types.

The server is the embedded one behind TLS of another authority: for the deployment it is somebody
else's. The policy that is converged has empty cookbooks.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hubfleet import chef_rights, identity, inventory, leftovers, policy
from hubfleet.chef_server import Endpoint, endpoint
from hubfleet.clients.chef_process import running, start_embedded
from hubfleet.errors import PreconditionError
from hubfleet.fleet.base import Role
from hubfleet.fleet.local import LocalFleet
from hubfleet.fleet.seed import write_seed
from hubfleet.pki import ensure_rsa_key, public_pem
from hubfleet.settings import ROOT, Settings, load
from hubfleet.state import Deployment, Ports
from tests.chef_api.target import new_keys
from tests.chef_api.tls import behind_tls
from tests.unit.checkout import Checkout

NODE = "i-0123456789abcdef0"
POLICY = "swarm_worker"
LOCAL = "environments/local.json"
TIMEOUT_S = 180


@dataclass(frozen=True)
class Site:
    """A deployment, whose server is external, and the checkout that it is made from."""

    checkout: Checkout
    deployment: Deployment
    settings: Settings

    @property
    def server(self) -> Endpoint:
        return endpoint(self.deployment, self.settings)

    def command(self, *argv: str, cwd: Path | None = None) -> str:
        """Run a program of bin/ with the deployment's configuration; return all that it prints."""
        config = [] if "--config" in argv else ["--config", str(self.deployment.chef_config)]
        done = subprocess.run(
            [ROOT / "bin" / argv[0], *argv[1:], *config],
            cwd=cwd or self.checkout.root,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("external")
    public = new_keys(directory)
    with (
        running(start_embedded(directory / "server", public)) as server,
        behind_tls(server.url, directory) as (url, ca),
    ):
        checkout = Checkout(directory / "checkout")
        checkout.add_tools()
        checkout.add_cookbooks()
        checkout.set(LOCAL, "default_attributes.chef_server.mode", "external")
        checkout.set(LOCAL, "default_attributes.chef_server.external.url", url)
        policy.update([POLICY], root=checkout.root)
        deployment = Deployment.create("local", "local", Ports.block(9000), checkout.root)
        for source, target in (
            (directory / "operator.pem", deployment.operator_key),
            (directory / "bootstrap.pem", deployment.bootstrap_key),
            (ca, deployment.external_ca),
        ):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        settings = load("local", checkout.root)
        identity.ensure(deployment, settings)
        yield Site(checkout, deployment, settings)


def client_rb(site: Site, directory: Path) -> Path:
    """Write what a bootstrap writes, with all directories elsewhere; return the file."""
    seed = site.deployment.node_dir(NODE)
    values = dict(line.split("=", 1) for line in (seed / "bootstrap.conf").read_text().splitlines())
    config = directory / "client.rb"
    config.write_text(
        f"chef_server_url '{values['CHEF_SERVER_URL']}'\n"
        f"node_name '{values['NODE_NAME']}'\n"
        f"policy_name '{values['POLICY_NAME']}'\npolicy_group '{values['POLICY_GROUP']}'\n"
        f"validation_client_name '{values['BOOTSTRAP_CLIENT']}'\n"
        f"validation_key '{seed / 'bootstrap.pem'}'\nclient_key '{directory / 'client.pem'}'\n"
        f"ssl_ca_file '{seed / 'ca.crt'}'\nssl_verify_mode :verify_peer\n"
        f"authentication_protocol_version '1.3'\nlog_location STDOUT\n"
        f"file_cache_path '{directory / 'cache'}'\nfile_backup_path '{directory / 'backup'}'\n"
        f"lockfile '{directory / 'lock'}'\npid_file '{directory / 'pid'}'\n"
        f"trusted_certs_dir '{directory / 'none'}'\ncache_path '{directory / 'chef'}'\n"
        "enable_reporting false\ndata_collector.mode :solo\nminimal_ohai true\n"
    )
    return config


def test_commands_from_push_to_converge(site: Site, tmp_path: Path) -> None:
    """One story, because each command needs what the one before has done."""
    policyfile = f"policyfiles/{POLICY}.rb"
    revision = policy.revision(POLICY, site.checkout.root)
    site.command("chef", "push", "local", policyfile)
    assert policy.connect(site.deployment).policy_groups() == {"local": {POLICY: revision}}
    assert policy.push(site.deployment, [POLICY])[0].changed is False
    assert revision[:10] in site.command("chef", "show-policy", POLICY)
    assert "No changes" in site.command("chef", "diff", policyfile, "local", "--no-pager")
    site.checkout.set("roles/base.json", "default_attributes.docker.log_max_files", 7)
    policy.update([POLICY], root=site.checkout.root)
    assert "log_max_files" in site.command("chef", "diff", policyfile, "local", "--no-pager")

    write_seed(site.deployment, site.settings, Role.SWARM_WORKER, NODE)
    config = client_rb(site, tmp_path)
    said = site.command("_bundle", "chef-client", "--once", "--config", str(config), cwd=tmp_path)
    assert "Infra Phase complete" in said
    assert (tmp_path / "client.pem").stat().st_size > 0

    assert site.command("knife", "node", "list").split()[-1] == NODE
    found = site.command("knife", "search", "node", f"policy_name:{POLICY}", "-i")
    assert NODE in found.splitlines()
    assert {"operator", "bootstrap", NODE} <= set(site.command("knife", "client", "list").split())

    known = inventory.look(site.deployment)
    assert known.problem == ""
    assert (known.missing([NODE]), known.strays([])) == ([], [NODE])
    assert known.nodes[NODE]["policy_revision"] == revision


def test_chef_diff_asks_the_deployments_server() -> None:
    environment = {**os.environ, "HUBFLEET_DEPLOYMENT": "no-such-deployment"}
    done = subprocess.run(
        [ROOT / "bin" / "chef", "diff", "staging"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "no deployment 'no-such-deployment'" in done.stderr


def test_nodes_trust_both_authorities_and_are_sent_to_the_external_server(site: Site) -> None:
    write_seed(site.deployment, site.settings, Role.CHEF_SERVER, NODE)
    seed = site.deployment.node_dir(NODE)
    trusted = (seed / "ca.crt").read_text()
    assert trusted.count("BEGIN CERTIFICATE") == 2
    assert site.deployment.ca_crt.read_text().strip() in trusted
    conf = (seed / "bootstrap.conf").read_text().splitlines()
    assert f"CHEF_SERVER_URL={site.server.url}" in conf
    # The registry's machine asks the server like every other: no policy comes with its seed.
    assert not any(line.startswith("LOCAL_POLICY") for line in conf)
    assert not (seed / "policy.tgz").exists()


def test_nodes_of_other_deployments_are_left_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    chef = policy.connect(site.deployment)
    ours, theirs = "i-00000000000000001", "i-00000000000000002"
    for name, group in ((ours, "local"), (theirs, "staging")):
        document = {"name": name, "policy_name": "hub", "policy_group": group, "run_list": []}
        chef.wire.object("POST", "/nodes", document)
    fleet = LocalFleet(site.deployment, site.settings, "")
    monkeypatch.setattr(fleet, "list", lambda: [])
    leftovers.forget_machines(site.deployment, fleet, shared=True)
    assert ours not in chef.nodes()
    assert theirs in chef.nodes()


def test_a_server_with_the_right_keys_and_rights_is_fine(site: Site) -> None:
    before = policy.connect(site.deployment).clients()
    assert chef_rights.examine(site.deployment, site.server) == ""
    assert policy.connect(site.deployment).clients() == before


@pytest.fixture
def spoilt(site: Site, tmp_path: Path) -> Deployment:
    """Return a deployment with copies of the keys, for a test to spoil."""
    made = Deployment.create("local", "local", Ports.block(9000), tmp_path)
    for name in ("operator_key", "bootstrap_key", "external_ca"):
        target = getattr(made, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(getattr(site.deployment, name), target)
    return made


def complaint(deployment: Deployment, server: Endpoint) -> PreconditionError:
    with pytest.raises(PreconditionError) as raised:
        chef_rights.examine(deployment, server)
    assert raised.value.hint
    return raised.value


@pytest.mark.parametrize("name", ["operator_key", "bootstrap_key", "external_ca"])
def test_what_the_administrator_has_not_given_is_named(
    site: Site, spoilt: Deployment, name: str
) -> None:
    getattr(spoilt, name).unlink()
    assert str(getattr(spoilt, name)) in complaint(spoilt, site.server).hint


@pytest.mark.parametrize("who", ["operator", "bootstrap"])
def test_a_wrong_key_is_told_from_a_missing_right(site: Site, spoilt: Deployment, who: str) -> None:
    file: Path = getattr(spoilt, f"{who}_key")
    file.unlink()
    ensure_rsa_key(file)
    error = complaint(spoilt, site.server)
    assert repr(who) in error.message
    assert "may not" not in error.message


def test_an_operator_without_rights_is_found(site: Site, spoilt: Deployment) -> None:
    shutil.copy(spoilt.bootstrap_key, spoilt.operator_key)
    server = Endpoint(**{**vars(site.server), "operator": "bootstrap"})
    assert "'bootstrap' may not list the clients" in complaint(spoilt, server).message


def test_a_validator_that_may_not_create_clients_is_found(site: Site, spoilt: Deployment) -> None:
    name = "hubfleet-test-plain"
    spoilt.bootstrap_key.unlink()
    chef = policy.connect(site.deployment)
    chef.create_client(name, public_pem(ensure_rsa_key(spoilt.bootstrap_key)))
    try:
        server = Endpoint(**{**vars(site.server), "bootstrap": name})
        assert f"the validator '{name}' may not create" in complaint(spoilt, server).message
    finally:
        chef.delete_client(name)


def test_a_validator_that_may_make_others_is_a_remark(site: Site, spoilt: Deployment) -> None:
    shutil.copy(spoilt.operator_key, spoilt.bootstrap_key)
    server = Endpoint(**{**vars(site.server), "bootstrap": "operator"})
    assert "may create further validators" in chef_rights.examine(spoilt, server)


def test_an_organization_that_is_not_there_is_found(site: Site, spoilt: Deployment) -> None:
    server = Endpoint(**{**vars(site.server), "url": site.server.url + "-of-others"})
    assert "there is no organization" in complaint(spoilt, server).message


def test_another_authority_and_nobody_there_are_found(site: Site, spoilt: Deployment) -> None:
    server = Endpoint(**{**vars(site.server), "ca": site.deployment.ca_crt})
    assert "certificate that our CA has not signed" in complaint(spoilt, server).message
    server = Endpoint(**{**vars(site.server), "url": "https://localhost:1/organizations/x"})
    assert "cannot be reached" in complaint(spoilt, server).message
