"""The way to the Chef server: a stand-in for the plug-in, a TLS server of the deployment's CA."""

import http.server
import io
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.stub import Stubber
from moto import mock_aws

from hubfleet.aws import outputs, states, tunnel
from hubfleet.clients.aws import Aws
from hubfleet.clients.chef_process import free_port
from hubfleet.clients.session_manager import PortTaken
from hubfleet.clients.web import get_json, served_certificate
from hubfleet.errors import CommandError, PreconditionError
from hubfleet.pki import LOCAL_NAMES, Authority
from hubfleet.settings import Settings, load
from hubfleet.state import Deployment, Ports
from tests.unit.session_manager import INSTANCE, answering, install

ENVIRONMENT = "staging"
STACK = {"machines": {"chef_server": INSTANCE, "hub": "i-hub"}}


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers everything by one document."""

    def do_GET(self) -> None:
        body = b'{"status": "pong"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def settings() -> Settings:
    return load(ENVIRONMENT)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment.create(ENVIRONMENT, ENVIRONMENT, Ports(1, free_port(), 3), tmp_path)
    Authority.ensure(made.ca_crt, made.ca_key, "CA")
    return made


@pytest.fixture
def server(deployment: Deployment, tmp_path: Path) -> Iterator[int]:
    """The port of a server with a certificate of the deployment's CA."""
    authority = Authority.ensure(deployment.ca_crt, deployment.ca_key, "CA")
    pair = tmp_path / "server.pem"
    pair.write_text("".join(authority.issue(LOCAL_NAMES)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as found:
        found.socket = context.wrap_socket(found.socket, server_side=True)
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found.server_port
        found.shutdown()
        thread.join()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[Aws]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", states.STATE_BUCKET):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    with mock_aws():
        yield Aws(settings.fleet.aws.region)


def test_it_leads_to_the_machine_of_the_outputs(
    deployment: Deployment,
    settings: Settings,
    aws: Aws,
    server: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(tmp_path, monkeypatch)
    monkeypatch.setattr(tunnel, "HTTPS", server)
    local = deployment.ports.chef
    with (
        answering(aws, server, local) as stub,
        tunnel.chef_server(deployment, settings, aws, STACK) as way,
    ):
        assert way is not None
        found = get_json(f"https://localhost:{local}/_status", deployment.ca_crt)
        assert found == {"status": "pong"}
        # A second one, such as a deploy beside chef.tunnel, starts no session: the stub has none.
        with tunnel.chef_server(deployment, settings, aws, STACK) as second:
            assert second is None
        assert way.open
    stub.assert_no_pending_responses()


def test_what_else_listens_there_is_not_taken_for_the_chef_server(
    deployment: Deployment,
    settings: Settings,
    aws: Aws,
    server: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(tmp_path, monkeypatch)
    other = replace(deployment, ports=Ports(1, server, 3))
    Authority.ensure(tmp_path / "other.crt", tmp_path / "other.key", "another deployment's")
    other.ca_crt.write_bytes((tmp_path / "other.crt").read_bytes())
    with (
        Stubber(aws.client("ssm")),
        pytest.raises(PortTaken),
        tunnel.chef_server(other, settings, aws, STACK),
    ):
        pytest.fail("it is another deployment's")


def test_to_an_external_server_no_tunnel_leads(
    deployment: Deployment, settings: Settings, aws: Aws
) -> None:
    external = replace_mode(settings, "external")
    with Stubber(aws.client("ssm")), tunnel.chef_server(deployment, external, aws, {}) as way:
        assert way is None


def test_without_a_machine_it_says_what_brings_it_up(
    deployment: Deployment, settings: Settings, aws: Aws
) -> None:
    with (
        pytest.raises(PreconditionError) as caught,
        tunnel.chef_server(deployment, settings, aws, {}),
    ):
        pytest.fail("there is no machine")
    assert caught.value.hint == "bring it up: ./invoke deploy --env staging"


def test_an_infra_server_is_reached_at_its_own_port_or_not_at_all(
    deployment: Deployment,
    settings: Settings,
    aws: Aws,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = replace_mode(settings, "install")
    port = installed.chef_server.install.port
    with (
        Stubber(aws.client("ssm")),
        pytest.raises(PreconditionError, match=f"names its port {port}"),
        tunnel.chef_server(deployment, installed, aws, STACK),
    ):
        pytest.fail("its answers would name another port")
    install(tmp_path, monkeypatch)
    fitting = replace(deployment, ports=Ports(1, port, 3))
    with Stubber(aws.client("ssm")) as stub:
        stub.add_client_error(
            "start_session",
            "TargetNotConnected",
            expected_params={
                "Target": INSTANCE,
                "DocumentName": "AWS-StartPortForwardingSession",
                "Parameters": {"portNumber": [str(port)], "localPortNumber": [str(port)]},
            },
        )
        with (
            pytest.raises(CommandError, match="not connected"),
            tunnel.chef_server(fitting, installed, aws, STACK),
        ):
            pytest.fail("nothing leads there")
        stub.assert_no_pending_responses()


def replace_mode(settings: Settings, mode: str) -> Settings:
    """Return the settings with another Chef server."""
    server = settings.chef_server.model_copy(update={"mode": mode})
    return settings.model_copy(update={"chef_server": server})


def test_the_words_name_commands_and_files_of_the_deployment(deployment: Deployment) -> None:
    text = "\n".join(tunnel.words(deployment))
    assert deployment.chef_server_url in text
    assert "--config .state/staging/chef/config.rb" in text
    assert "./invoke policy.diff --env staging" in text


def test_a_certificate_is_told_unverified_or_of_one_authority(
    deployment: Deployment, server: int, tmp_path: Path
) -> None:
    assert served_certificate("localhost", server) == served_certificate(
        "localhost", server, deployment.ca_crt
    )
    Authority.ensure(tmp_path / "other.crt", tmp_path / "other.key", "CA")
    with pytest.raises(CommandError, match="CERTIFICATE_VERIFY_FAILED"):
        served_certificate("localhost", server, tmp_path / "other.crt")
    with pytest.raises(CommandError, match="shows no certificate"):
        served_certificate("localhost", free_port())


def put_state(aws: Aws, content: bytes) -> None:
    bucket = states.name(aws.identity().account, aws.region)
    states.ensure(aws, bucket)
    # moto heeds no condition: the bucket's policy would refuse all.
    aws.call("s3", "delete_bucket_policy", Bucket=bucket)
    aws.call("s3", "put_object", Bucket=bucket, Key=ENVIRONMENT, Body=io.BytesIO(content))


def test_outputs_are_those_of_the_state(aws: Aws) -> None:
    assert outputs.read(ENVIRONMENT, aws) == {}
    with pytest.raises(PreconditionError, match="nothing of staging is deployed") as caught:
        outputs.require(ENVIRONMENT, aws)
    assert caught.value.hint == "./invoke deploy --env staging"
    state = {"version": 4, "outputs": {"stack": {"value": STACK, "type": ["object", {}]}}}
    put_state(aws, json.dumps(state).encode())
    assert outputs.require(ENVIRONMENT, aws) == STACK
    # As destroy leaves it.
    put_state(aws, json.dumps({"version": 4, "outputs": {}, "resources": []}).encode())
    assert outputs.read(ENVIRONMENT, aws) == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no JSON", "no state of Terraform"),
        (b"[]", "no state of Terraform"),
        (b'{"encrypted_data": "x"}', "no state of Terraform"),
        (b'{"version": 5, "outputs": {}}', "in form 5"),
    ],
)
def test_a_state_in_another_form_is_named(aws: Aws, content: bytes, said: str) -> None:
    put_state(aws, content)
    with pytest.raises(CommandError, match=said):
        outputs.read(ENVIRONMENT, aws)
