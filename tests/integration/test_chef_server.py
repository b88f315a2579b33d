"""The Chef server's node: an API that believes signatures only, and a registry with two doors."""

import hashlib
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_wire import ChefServerError, sign
from hubfleet.fleet.base import Role
from hubfleet.identity import OPERATOR
from hubfleet.pki import public_pem
from tests.integration.subject import Subject, eventually

pytestmark = pytest.mark.roles(Role.CHEF_SERVER)

SERVICE = "hubfleet-chef-api"

MOST_EXPOSED = 2.0
"""What `systemd-analyze security` may say of our service: 0 is sealed, 10 is a plain service."""

PATHS = (
    *("", "/nodes", "/clients", "/clients/operator", "/policies", "/policy_groups", "/roles"),
    *("/cookbooks", "/cookbook_artifacts", "/environments", "/data", "/search/node", "/sandboxes"),
)
"""Below the organization."""


@pytest.fixture
def organization(node: Subject) -> str:
    """The path of the organization."""
    return f"/organizations/{node.settings.chef_server.organization}"


@pytest.fixture
def operator_key(node: Subject) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(node.deployment.operator_key.read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


@pytest.fixture
def chef(node: Subject, organization: str) -> Chef:
    """The API as the operator."""
    deployment = node.deployment
    return Chef(node.url() + organization, deployment.operator_key, deployment.ca_crt)


@pytest.fixture
def registry_name(node: Subject) -> str:
    return f"registry.{node.settings.fleet.zone}"


@pytest.fixture
def publisher(node: Subject) -> tuple[str, str]:
    """User and password for writing."""
    return node.settings.registry.user, node.secret(OPERATOR, "registry_password")


@pytest.mark.parametrize("service", [SERVICE, "nginx", "docker-registry"])
def test_its_services_run_and_start_at_boot(node: Subject, service: str) -> None:
    shown = node.unit(service, "ActiveState", "UnitFileState")
    assert shown == {"ActiveState": "active", "UnitFileState": "enabled"}


def test_the_api_is_sealed_off(node: Subject) -> None:
    text = node.run("systemd-analyze", "security", f"{SERVICE}.service", "--no-pager")
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
    assert score is not None and float(score[1]) <= MOST_EXPOSED, text
    assert node.unit(SERVICE, "User")["User"] not in {"", "root"}


def test_only_the_apis_user_reads_its_data(node: Subject) -> None:
    directory = node.host.file(node.settings.chef_server.data_dir)
    assert (directory.mode, directory.user) == (0o700, node.unit(SERVICE, "User")["User"])


@pytest.mark.parametrize("path", PATHS)
def test_an_unsigned_request_is_refused(node: Subject, organization: str, path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = node.request(method, organization + path, json={} if method != "GET" else None)
        assert answer.status_code == 400, method
        assert answer.json()["error"]


@pytest.mark.parametrize("path", ["/", "/organizations", "/users", "/license", "/file_store/x"])
def test_no_path_outside_of_the_organization_is_open(node: Subject, path: str) -> None:
    assert node.request("GET", path).status_code == 400


def test_everybody_may_ask_whether_it_lives(node: Subject) -> None:
    answer = node.request("GET", "/_status")
    assert (answer.status_code, answer.json()["status"]) == (200, "pong")


def signed(
    node: Subject,
    path: str,
    key: rsa.RSAPrivateKey,
    client: str = OPERATOR,
    at: datetime | None = None,
    protocol: str = "1.3",
) -> requests.Response:
    """Send a signed GET."""
    made = sign(key, client, "GET", path, "", at or datetime.now(UTC))
    made["X-Ops-Sign"] = f"algorithm=sha256;version={protocol};"
    return node.request("GET", path, headers=made)


def test_a_signed_request_is_answered(
    node: Subject, organization: str, operator_key: rsa.RSAPrivateKey
) -> None:
    assert signed(node, f"{organization}/nodes", operator_key).status_code == 200


def test_a_signature_that_proves_nothing_is_refused(
    node: Subject, organization: str, operator_key: rsa.RSAPrivateKey
) -> None:
    path, stranger = f"{organization}/nodes", rsa.generate_private_key(65537, 2048)
    late = timedelta(seconds=node.settings.chef_server.clock_skew_s + 60)
    now = datetime.now(UTC)
    assert signed(node, path, stranger).status_code == 401
    assert signed(node, path, operator_key, client="nobody").status_code == 401
    assert signed(node, path, operator_key, at=now - late).status_code == 401
    assert signed(node, path, operator_key, at=now + late).status_code == 401
    other = sign(operator_key, OPERATOR, "GET", f"{organization}/clients", "", now)
    assert node.request("GET", path, headers=other).status_code == 401


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "nonsense"])
def test_older_protocols_are_refused(
    node: Subject, organization: str, operator_key: rsa.RSAPrivateKey, version: str
) -> None:
    path = f"{organization}/nodes"
    assert signed(node, path, operator_key, protocol=version).status_code == 400


def test_the_bootstrap_client_may_not_look_around(node: Subject, chef: Chef) -> None:
    deployment = node.deployment
    bootstrap = Chef(chef.url, deployment.bootstrap_key, deployment.ca_crt, "bootstrap")
    for look in (bootstrap.nodes, bootstrap.clients, bootstrap.policies):
        with pytest.raises(ChefServerError) as refusal:
            look()
        assert refusal.value.status == 403
    assert {"operator", "bootstrap"} <= set(chef.clients())


def test_nobody_but_the_deployments_ca_vouches_for_it(node: Subject) -> None:
    for port in (443, node.settings.registry.push_port):
        with pytest.raises(requests.exceptions.SSLError):
            node.request("GET", "/_status", port, verify=True)


def test_everybody_reads_the_registry(node: Subject, registry_name: str) -> None:
    answer = node.request("GET", "/v2/", name=registry_name)
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nobody_writes_by_the_registrys_reading_door(
    node: Subject, registry_name: str, method: str
) -> None:
    answer = node.request(method, "/v2/canary/blobs/uploads/", name=registry_name)
    assert answer.status_code == 405


def test_the_writing_door_asks_for_the_password_at_once(
    node: Subject, publisher: tuple[str, str]
) -> None:
    port = node.settings.registry.push_port
    for wrong in (None, (publisher[0], "guess"), ("guess", publisher[1])):
        for method in ("GET", "POST"):
            answer = node.request(method, "/v2/", port, auth=wrong)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert node.request("GET", "/v2/", port, auth=publisher).status_code == 200


@pytest.mark.kitchen
def test_what_the_publisher_writes_everybody_reads(
    node: Subject, registry_name: str, publisher: tuple[str, str]
) -> None:
    port = node.settings.registry.push_port
    content = uuid.uuid4().bytes * 1000
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    begun = node.request("POST", "/v2/canary/blobs/uploads/", port, auth=publisher)
    assert begun.status_code == 202
    place = urlsplit(begun.headers["Location"])
    target = f"{place.path}?{place.query}&digest={digest}"
    assert node.request("PUT", target, port, auth=publisher, data=content).status_code == 201
    read = node.request("GET", f"/v2/canary/blobs/{digest}", name=registry_name)
    assert read.content == content


@pytest.fixture
def canary(chef: Chef) -> Iterator[str]:
    """A client that is known to the API while a test runs."""
    name = f"canary-{uuid.uuid4().hex}"
    chef.create_client(name, public_pem(rsa.generate_private_key(65537, 2048)))
    yield name
    chef.delete_client(name)


@pytest.mark.kitchen
def test_what_was_acknowledged_survives_a_kill(node: Subject, chef: Chef, canary: str) -> None:
    before, killed = chef.clients(), node.unit(SERVICE, "MainPID")["MainPID"]
    assert canary in before
    node.run("kill", "-KILL", killed)
    eventually(
        lambda: (
            node.unit(SERVICE, "ActiveState")["ActiveState"] == "active"
            and node.unit(SERVICE, "MainPID")["MainPID"] not in {"0", killed}
        ),
        "the API was not started again",
    )
    assert chef.clients() == before
