"""The AWS back end on the wire: throttled, refused, silent, without credentials."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hubfleet.clients.aws_fleet import CONFIG, AwsFleet, AwsRefusal
from hubfleet.errors import CommandError
from hubfleet.fleet.scaling import Hook
from hubfleet.fleet.scaling_aws import AwsScaling
from tests.fleet.aws import CREDENTIALS, NAMES, REGION
from tests.fleet.backend import POOL

THROTTLED = """<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">
<Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error>
</ErrorResponse>"""
NOBODY = """<DescribeAutoScalingInstancesResponse
xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><DescribeAutoScalingInstancesResult>
<AutoScalingInstances/></DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>"""
ID = "i-0598c7d356eba48d7"

PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""Proxies of this machine have no part in a test."""


class Server(ThreadingHTTPServer):
    """Answers with `throttles` refusals, then with an empty list."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.throttles = 0
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """Plays Auto Scaling."""

    server: Server

    def do_POST(self) -> None:
        """Answer a call."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(self.headers["User-Agent"])
        throttled = len(self.server.asked) <= self.server.throttles
        body = (THROTTLED if throttled else NOBODY).encode()
        self.send_response(400 if throttled else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve, and have boto3 call this server."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    made = Server()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{made.server_port}")
    thread = threading.Thread(target=made.serve_forever, args=[0.05])
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def fleet() -> AwsScaling:
    """Return a fleet that has no client yet."""
    return AwsScaling(AwsFleet(REGION), NAMES, [POOL])


def test_a_throttled_call_is_made_again(server: Server) -> None:
    server.throttles = 2
    assert fleet().standing(ID) is None
    assert len(server.asked) == 3
    assert all("hubfleet" in agent for agent in server.asked)


def test_a_throttled_call_ends_well_before_a_spot_notice_does(server: Server) -> None:
    server.throttles = 99
    begun = time.monotonic()
    with pytest.raises(AwsRefusal, match="throttles autoscaling:DescribeAutoScalingInstances"):
        fleet().standing(ID)
    assert time.monotonic() - begun < 20
    assert len(server.asked) == CONFIG.retries["total_max_attempts"]


def test_what_cannot_be_an_instance_is_asked_of_nobody(server: Server) -> None:
    for strange in ("", "i-1", "../x", f"{ID}\n", f" {ID}", ID.upper(), "x" * 5000):
        assert fleet().standing(strange) is None
        fleet().terminate(strange)
    group = NAMES.group(POOL)
    for forged in (Hook(group, "emptied", "short", ID), Hook(group, "", "x" * 36, ID)):
        fleet().complete(forged)
        fleet().heartbeat(forged)
    assert not server.asked


def test_a_server_that_is_away_is_said_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(CommandError, match=f"not reached in {REGION}") as caught:
        fleet().workers()
    assert "fleet.aws.region" in caught.value.hint


def test_a_region_that_cannot_be_is_said_so(server: Server) -> None:
    with pytest.raises(CommandError, match="region 'no region'") as caught:
        AwsScaling(AwsFleet("no region"), NAMES, [POOL]).workers()
    assert "fleet.aws.region" in caught.value.hint


def test_credentials_that_come_later_are_found(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    made = fleet()
    for _ in range(2):
        with pytest.raises(CommandError, match="no AWS credentials") as caught:
            made.standing(ID)
        assert "aws sso login" in caught.value.hint
    assert not server.asked
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    assert made.standing(ID) is None
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(CommandError, match="nobody"):
        fleet().standing(ID)
