"""The status on AWS: an account of moto, a TLS server for the hub, sentences for what is wrong."""

import http.server
import io
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber
from moto import mock_aws

from hubfleet.aws import findings
from hubfleet.aws.status import Place, look, show, status
from hubfleet.aws.survey import ROLE_TAG
from hubfleet.clients.aws import Aws
from hubfleet.console import Console
from hubfleet.errors import PreconditionError
from hubfleet.fleet.aws_names import DEPLOYMENT_TAG, AwsNames
from hubfleet.pki import LOCAL_NAMES, Authority
from hubfleet.settings import Settings, load

ENVIRONMENT = "staging"
NAMES = AwsNames(ENVIRONMENT)
OLD, NEW = "ami-12c6146b", "ami-785db401"
"""Two of the images that moto has."""


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers the health check, and nothing else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/hub/health" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A hub whose certificate is of an authority that the system trusts."""
    authority = Authority.ensure(tmp_path / "ca.crt", tmp_path / "ca.key", "CA")
    pair = tmp_path / "server.pem"
    pair.write_text("".join(authority.issue(LOCAL_NAMES)))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def settings() -> Settings:
    return load(ENVIRONMENT)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[Aws]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    with mock_aws():
        yield Aws(settings.fleet.aws.region)


def machine(aws: Aws, role: str, image: str, environment: str = ENVIRONMENT) -> str:
    """Start an instance of a stack; with role "" one of Packer's."""
    tags = {DEPLOYMENT_TAG: environment} | ({ROLE_TAG: role} if role else {})
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    made = aws.client("ec2").run_instances(
        ImageId=image,
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": pairs}],
    )
    return str(made["Instances"][0]["InstanceId"])


@pytest.fixture
def stack(aws: Aws, url: str) -> dict[str, Any]:
    """Make what the status looks at; return the outputs of the stack."""
    ec2, sqs, efs = (aws.client(name) for name in ("ec2", "sqs", "efs"))
    ec2.create_launch_template(
        LaunchTemplateName="worker",
        LaunchTemplateData={"ImageId": NEW, "InstanceType": "m7i.large"},
    )
    tags = {DEPLOYMENT_TAG: ENVIRONMENT, ROLE_TAG: "swarm_worker"}
    aws.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=NAMES.group("default"),
        LaunchTemplate={"LaunchTemplateName": "worker"},
        MinSize=1,
        MaxSize=3,
        DesiredCapacity=2,
        VPCZoneIdentifier=ec2.describe_subnets()["Subnets"][0]["SubnetId"],
        Tags=[{"Key": k, "Value": v, "PropagateAtLaunch": True} for k, v in tags.items()],
    )
    file_system = efs.create_file_system(CreationToken=NAMES.homes)["FileSystemId"]
    return {
        "url": url,
        "machines": {"chef_server": machine(aws, "chef_server", NEW)},
        "queue": sqs.create_queue(QueueName=NAMES.queue)["QueueUrl"],
        "dead_letters": sqs.create_queue(QueueName=f"{NAMES.queue}-dead")["QueueUrl"],
        "homes": {"file_system": file_system},
        "images": {"hub": NEW, "chef_server": NEW, "swarm_worker": NEW},
    }


def test_all_parts_of_an_account_are_there(
    aws: Aws, settings: Settings, stack: dict[str, Any]
) -> None:
    hub = machine(aws, "hub", OLD)
    machine(aws, "hub", OLD, "production")
    machine(aws, "", OLD)
    gone = machine(aws, "hub", OLD)
    aws.client("ec2").terminate_instances(InstanceIds=[gone])
    aws.client("sqs").send_message(QueueUrl=stack["queue"], MessageBody="{}")
    found = status(ENVIRONMENT, settings, stack, aws, None)
    assert found["unknown"] == {}
    assert found["problems"] == []
    roles = [node["role"] for node in found["nodes"]]
    assert roles == ["chef_server", "hub", "swarm_worker", "swarm_worker"]
    node = found["nodes"][1]
    assert (node["id"], node["state"], node["type"]) == (hub, "running", "t3.small")
    assert (node["market"], node["image_is_current"], node["in_chef"]) == ("on-demand", False, None)
    assert found["nodes"][2]["image_is_current"] is True
    assert found["nodes"][2]["lifecycle"] == "InService"
    assert found["group"] == {
        "name": "hubfleet-staging-workers",
        "min": 1,
        "desired": 2,
        "max": 3,
        "lifecycle": {"InService": 2},
        "suspended": [],
    }
    assert found["queue"] == {"waiting": 1, "in_flight": 0, "dead": 0}
    assert found["homes"]["bytes"] >= 0
    assert found["hub"]["healthy"] is True
    (certificate,) = found["certificates"]
    assert certificate["name"] == "localhost"
    assert 380 < certificate["days_left"] < 398
    assert found["chef"]["problem"] == "this machine has no keys of staging"
    json.dumps(found)


def test_what_is_wrong_in_the_account_is_a_sentence(
    aws: Aws, settings: Settings, stack: dict[str, Any]
) -> None:
    hub = machine(aws, "hub", NEW)
    aws.client("ec2").stop_instances(InstanceIds=[hub])
    aws.client("sqs").send_message(QueueUrl=stack["dead_letters"], MessageBody="{}")
    autoscaling, group = aws.client("autoscaling"), NAMES.group("default")
    autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, MinSize=3, MaxSize=3)
    autoscaling.suspend_processes(
        AutoScalingGroupName=group, ScalingProcesses=["Launch", "AZRebalance"]
    )
    text = "\n".join(status(ENVIRONMENT, settings, stack, aws, None)["problems"])
    assert f"hub {hub} is stopped" in text
    assert "1 messages could be handled by nobody" in text
    assert f"{group} does not Launch: aws autoscaling resume-processes" in text
    assert "AZRebalance" not in text


def test_what_does_not_answer_is_null_and_named(
    aws: Aws, settings: Settings, stack: dict[str, Any]
) -> None:
    broken = stack | {
        "url": "https://localhost:1",
        "queue": f"{stack['queue']}-gone",
        "homes": {"file_system": "fs-0123456789abcdef0"},
    }
    aws.client("autoscaling").delete_auto_scaling_group(
        AutoScalingGroupName=NAMES.group("default"), ForceDelete=True
    )
    with Stubber(aws.client("ec2")) as stub:
        stub.add_client_error("describe_instances", "UnauthorizedOperation", "not you")
        found = status(ENVIRONMENT, settings, broken, aws, None)
    parts = ("nodes", "group", "queue", "homes")
    assert {part: found[part] for part in parts} == dict.fromkeys(parts)
    assert found["certificates"] == []
    assert found["hub"]["healthy"] is False
    assert set(found["unknown"]) == {"machines", "group", "queue", "homes", "certificate"}
    text = "\n".join(found["problems"])
    assert "the machines are not known" in text
    assert "there is no Auto Scaling group hubfleet-staging-workers" in text
    assert "the hub is not healthy: https://localhost:1/hub/health does not answer" in text
    out = io.StringIO()
    show(Console(stdout=out), found)
    assert "problem: the queue is not known" in out.getvalue()


def test_a_hub_whose_certificate_nobody_signed_is_not_healthy(
    aws: Aws, settings: Settings, stack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    found = look(Place(ENVIRONMENT, settings, stack, aws, None, "no"))
    assert "CERTIFICATE_VERIFY_FAILED" in found["hub"]["problem"]
    # It is told all the same when it ends.
    assert [each["name"] for each in found["certificates"]] == ["localhost"]


def test_of_what_is_not_deployed_there_is_no_status(aws: Aws, settings: Settings) -> None:
    with pytest.raises(PreconditionError, match="nothing of staging is deployed") as caught:
        status(ENVIRONMENT, settings, {}, aws, None)
    assert caught.value.hint == "./invoke deploy --env staging"


def found(**parts: Any) -> dict[str, Any]:
    """Return a status without problems, but for `parts`."""
    node = {"id": "i-h", "role": "hub", "state": "running", "problem": ""}
    return {
        "environment": ENVIRONMENT,
        "nodes": [node],
        "group": None,
        "queue": None,
        "chef": {"problem": "", "missing": [], "strays": []},
        "hub": {"healthy": True, "problem": ""},
        "certificates": [],
        "unknown": {},
    } | parts


def ends(days: int) -> list[dict[str, Any]]:
    return [{"name": "hub.example.org", "not_after": "2026-12-01T00:00:00", "days_left": days}]


GROUP = {"name": "g", "min": 2, "suspended": [], "lifecycle": {"InService": 1, "Pending": 1}}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, []),
        ({"certificates": ends(14)}, []),
        ({"certificates": ends(13)}, ["the certificate of hub.example.org ends in 13 days"]),
        (
            {"certificates": ends(-1)},
            ["the certificate of hub.example.org has ended on 2026-12-01"],
        ),
        ({"group": GROUP}, ["g has 1 workers in service, of at least 2"]),
        ({"group": GROUP | {"min": 1}}, []),
        ({"nodes": []}, ["there is no machine of the hub: ./invoke deploy --env staging"]),
        (
            {"chef": {"problem": "", "missing": ["i-h"], "strays": []}},
            ["hub i-h is no node of the Chef server"],
        ),
        (
            {"chef": {"problem": "", "missing": [], "strays": ["i-x"]}},
            [
                "Chef node i-x has no machine: ./invoke chef.tunnel --env staging, "
                "then knife node delete i-x and knife client delete i-x"
            ],
        ),
    ],
)
def test_problems(parts: dict[str, Any], said: list[str]) -> None:
    assert findings.problems(found(**parts)) == said
