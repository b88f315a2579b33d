"""Which server a deployment has in each mode, and what that means for its machines."""

from pathlib import Path

import pytest

from hubfleet import doctor, identity, pki
from hubfleet.chef_server import endpoint, trust
from hubfleet.doctor import Verdict
from hubfleet.errors import PreconditionError
from hubfleet.fleet.base import Role
from hubfleet.fleet.local import LocalFleet
from hubfleet.fleet.seed import bootstrap_conf
from hubfleet.settings import Settings, load
from hubfleet.state import Deployment, Ports, write_private
from tests.unit.checkout import Checkout

LOCAL = "environments/local.json"
ID = "i-0123456789abcdef0"


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setattr(pki, "RSA_BITS", 1024)  # keys of the real size take most of a second
    return Deployment.create("local", "local", Ports(8443, 8444, 8445), Checkout(tmp_path).root)


def settings(deployment: Deployment, mode: str, **values: str) -> Settings:
    document = {"mode": mode, mode: values} if values else {"mode": mode}
    checkout = object.__new__(Checkout)
    checkout.root = deployment.root
    checkout.set(LOCAL, "default_attributes.chef_server", document)
    return load("local", deployment.root)


def install(deployment: Deployment) -> Settings:
    return settings(deployment, "install", package="cinc-server-core")


def external(deployment: Deployment) -> Settings:
    return settings(deployment, "external", url="https://chef.example.org", bootstrap="validator")


def test_an_installed_server_has_a_port_and_the_validator_of_its_organization(
    deployment: Deployment,
) -> None:
    found = endpoint(deployment, install(deployment))
    assert found.url == "https://localhost:8444/organizations/hubfleet"
    assert found.node_url == "https://chef.hubfleet.internal:8444/organizations/hubfleet"
    assert (found.operator, found.bootstrap) == ("operator", "hubfleet-validator")
    conf = bootstrap_conf(deployment, load("local", deployment.root), Role.HUB, ID)
    assert "BOOTSTRAP_CLIENT=hubfleet-validator\n" in conf


def test_an_external_server_is_the_same_for_operator_and_nodes(deployment: Deployment) -> None:
    found = endpoint(deployment, external(deployment))
    assert found.url == found.node_url == "https://chef.example.org/organizations/hubfleet"
    assert (found.operator, found.bootstrap, found.ca) == (
        "operator",
        "validator",
        deployment.external_ca,
    )


def test_the_machine_keeps_and_publishes_what_its_server_needs(deployment: Deployment) -> None:
    def machine(of: Settings) -> tuple[list[str], list[str]]:
        spec = LocalFleet(deployment, of, "x").spec(Role.CHEF_SERVER, ID, "", 2, [])
        return sorted(spec.volumes.values()), sorted(spec.ports)

    registry = "/var/lib/hubfleet-registry"
    embedded = machine(load("local", deployment.root))
    assert embedded == (
        ["/var/lib/docker", "/var/lib/hubfleet-chef", registry],
        ["443/tcp", "5443/tcp"],
    )
    assert machine(install(deployment)) == (
        ["/var/lib/docker", registry, "/var/opt/cinc-project"],
        ["5443/tcp", "8444/tcp"],
    )
    assert machine(external(deployment)) == (
        ["/var/lib/docker", registry],
        ["443/tcp", "5443/tcp"],
    )


def test_keys_of_an_external_server_are_never_made_here(deployment: Deployment) -> None:
    wanted = external(deployment)
    with pytest.raises(PreconditionError, match="the operator's private key") as raised:
        identity.ensure(deployment, wanted)
    assert str(deployment.operator_key) in raised.value.hint
    assert not deployment.operator_key.exists()


def test_only_with_an_external_server_do_nodes_trust_its_authority(deployment: Deployment) -> None:
    write_private(deployment.ca_crt, "ours\n")
    write_private(deployment.external_ca, "theirs")
    assert trust(deployment, load("local", deployment.root)) == b"ours\n"
    assert trust(deployment, external(deployment)) == b"ours\ntheirs\n"


def test_an_installed_server_needs_its_own_port_on_this_machine(deployment: Deployment) -> None:
    wanted = install(deployment)
    assert doctor._chef_server(deployment, wanted).verdict is Verdict.OK
    other = Deployment("local", "local", deployment.root, Ports.block(9000))
    found = doctor._chef_server(other, wanted)
    assert (found.verdict, found.fix) == (Verdict.FAIL, "./invoke deploy --port 8443")
