"""Port forwarding by Session Manager: botocore's Stubber, and a stand-in plug-in that forwards."""

import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.stub import Stubber

from hubfleet.clients import process, session_manager
from hubfleet.clients.aws import Aws
from hubfleet.clients.aws_fleet import AwsRefusal
from hubfleet.clients.chef_process import free_port
from hubfleet.clients.session_manager import RESPONSE, NotConnected, PortTaken, forward
from hubfleet.errors import CommandError, PreconditionError
from tests.unit.session_manager import INSTANCE, SESSION, answering, gone, install, notes, request

REGION = "eu-central-1"


class Greeter(socketserver.BaseRequestHandler):
    """Answers one line by the same, in capitals."""

    def handle(self) -> None:
        self.request.sendall(self.request.recv(100).upper())


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which something is served."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeter) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    return Aws(REGION)


@pytest.fixture
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return install(tmp_path, monkeypatch)


def ask(local_port: int, words: bytes = b"hello") -> bytes:
    with socket.create_connection(("localhost", local_port), timeout=5) as connection:
        connection.sendall(words)
        return connection.recv(100)


def test_a_local_port_leads_to_the_machine_while_the_context_lasts(
    aws: Aws, port: int, noted: Path
) -> None:
    local = free_port()
    with answering(aws, port, local) as stub:
        with forward(aws, INSTANCE, port, local):
            assert ask(local) == b"HELLO"
            assert ask(local, b"again") == b"AGAIN"
        stub.assert_no_pending_responses()
    assert gone(notes(noted)["pid"])
    with pytest.raises(OSError, match="refused"):
        ask(local)


def test_the_plugin_gets_what_the_cli_gives_it_and_no_argument_has_the_token(
    aws: Aws, port: int, noted: Path
) -> None:
    local = free_port()
    with answering(aws, port, local), forward(aws, INSTANCE, port, local):
        given = notes(noted)
    assert given["session"] == SESSION
    endpoint = f"https://ssm.{REGION}.amazonaws.com"
    assert given["meaning"] == [REGION, "StartSession", "", endpoint]
    assert len(given["arguments"]) == 6
    assert given["arguments"][0] == RESPONSE
    assert SESSION["TokenValue"] not in given["command_line"]
    assert RESPONSE not in os.environ


def test_the_session_ends_also_after_an_error(aws: Aws, port: int, noted: Path) -> None:
    local = free_port()
    with answering(aws, port, local) as stub:
        with pytest.raises(ZeroDivisionError), forward(aws, INSTANCE, port, local):
            raise ZeroDivisionError
        stub.assert_no_pending_responses()
    assert gone(notes(noted)["pid"])


def test_a_refused_end_hides_no_error(aws: Aws, port: int, noted: Path) -> None:
    local = free_port()
    stub = Stubber(aws.client("ssm"))
    stub.add_response("start_session", SESSION, request(port, local))
    stub.add_client_error("terminate_session", "AccessDeniedException", "not you")
    with stub, pytest.raises(ZeroDivisionError), forward(aws, INSTANCE, port, local):
        raise ZeroDivisionError
    assert gone(notes(noted)["pid"])


def test_a_plugin_that_ignores_its_end_is_killed(
    aws: Aws, port: int, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUGIN_DOES", "stubborn")
    monkeypatch.setattr(process, "GRACE_S", 0.3)
    local = free_port()
    with answering(aws, port, local), forward(aws, INSTANCE, port, local):
        pass
    assert gone(notes(noted)["pid"])


CTRL_C = """
import signal, sys, time
from hubfleet.clients.aws import Aws
from hubfleet.clients.session_manager import forward
from tests.unit.session_manager import INSTANCE, answering

# Whoever starts the tests in the background has it ignored, which is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
port, local = int(sys.argv[1]), int(sys.argv[2])
aws = Aws("eu-central-1")
with answering(aws, port, local) as stub:
    try:
        with forward(aws, INSTANCE, port, local):
            print("open", flush=True)
            time.sleep(60)
    except KeyboardInterrupt:
        stub.assert_no_pending_responses()
        print("ended", flush=True)
"""


def test_ctrl_c_ends_plugin_and_session(port: int, aws: Aws, noted: Path) -> None:
    # In a process of its own, whose whole group gets the signal, as a terminal sends it.
    local = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", CTRL_C, str(port), str(local)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as program:
        assert program.stdout
        assert program.stdout.readline() == "open\n"
        given = notes(noted)
        assert given["group"] not in {program.pid, os.getpgid(0)}
        os.killpg(program.pid, signal.SIGINT)
        assert program.stdout.readline() == "ended\n"
    assert gone(given["pid"])


def test_a_tunnel_that_breaks_is_told_with_what_failed_by_it(
    aws: Aws, port: int, noted: Path
) -> None:
    local = free_port()
    with answering(aws, port, local) as stub:
        with pytest.raises(CommandError) as caught, forward(aws, INSTANCE, port, local) as tunnel:
            os.kill(notes(noted)["pid"], signal.SIGKILL)
            tunnel.program.wait()
            raise PreconditionError("the Chef server does not answer")
        stub.assert_no_pending_responses()
    broken = f"the tunnel to {INSTANCE}:{port} has broken: the Chef server does not answer"
    assert caught.value.message == broken
    assert SESSION["SessionId"] in caught.value.output


def test_who_holds_a_tunnel_hears_that_it_has_broken(aws: Aws, port: int, noted: Path) -> None:
    local = free_port()
    with (
        answering(aws, port, local),
        pytest.raises(CommandError, match=r"has broken$"),
        forward(aws, INSTANCE, port, local) as tunnel,
    ):
        os.kill(notes(noted)["pid"], signal.SIGKILL)
        tunnel.hold()


def test_an_error_of_the_work_itself_stays_what_it_is(aws: Aws, port: int, noted: Path) -> None:
    local = free_port()
    with (
        answering(aws, port, local),
        pytest.raises(PreconditionError, match="stale"),
        forward(aws, INSTANCE, port, local),
    ):
        raise PreconditionError("a stale lock")


def test_a_plugin_that_ends_early_is_quoted(
    aws: Aws, port: int, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUGIN_DOES", "end")
    local = free_port()
    with answering(aws, port, local) as stub:
        with (
            pytest.raises(CommandError, match=f"ended before port {local} led to") as caught,
            forward(aws, INSTANCE, port, local),
        ):
            pytest.fail("nothing leads there")
        stub.assert_no_pending_responses()
    assert "Cannot perform start session: EOF" in caught.value.output


def test_a_port_that_never_opens(
    aws: Aws, port: int, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUGIN_DOES", "deaf")
    monkeypatch.setattr(session_manager, "OPEN_TIMEOUT_S", 1.5)
    local, begun = free_port(), time.monotonic()
    with answering(aws, port, local) as stub:
        with (
            pytest.raises(CommandError, match=r"within 1.5 s") as caught,
            forward(aws, INSTANCE, port, local),
        ):
            pytest.fail("nothing leads there")
        stub.assert_no_pending_responses()
    assert time.monotonic() - begun < 5
    assert f"ssmmessages.{REGION}.amazonaws.com" in caught.value.hint
    assert gone(notes(noted)["pid"])


def test_a_machine_that_is_not_connected_is_told_apart(aws: Aws, noted: Path) -> None:
    with Stubber(aws.client("ssm")) as stub:
        stub.add_client_error("start_session", "TargetNotConnected", f"{INSTANCE} is not connected")
        with pytest.raises(NotConnected) as caught, forward(aws, INSTANCE, 443, free_port()):
            pytest.fail("nothing leads there")
    assert isinstance(caught.value, AwsRefusal)
    assert caught.value.code == "TargetNotConnected"
    assert caught.value.message == f"{INSTANCE} is not connected with Session Manager"
    assert "get-console-output" in caught.value.hint
    assert not noted.exists()


def test_another_refusal_is_an_operator_s(aws: Aws, noted: Path) -> None:
    with Stubber(aws.client("ssm")) as stub:
        stub.add_client_error("start_session", "AccessDeniedException", "not you")
        with pytest.raises(AwsRefusal) as caught, forward(aws, INSTANCE, 443, free_port()):
            pytest.fail("nothing leads there")
    assert not isinstance(caught.value, NotConnected)
    assert "does not allow ssm:StartSession" in caught.value.message
    assert "get-caller-identity" in caught.value.hint


def test_a_port_in_use_is_found_before_a_session_begins(aws: Aws, port: int, noted: Path) -> None:
    # Without an answer of the stub, a call would fail otherwise.
    with (
        Stubber(aws.client("ssm")),
        pytest.raises(PortTaken, match=f"port {port} of this machine is in use") as caught,
        forward(aws, INSTANCE, 443, port),
    ):
        pytest.fail("nothing leads there")
    assert "close the other tunnel" in caught.value.hint
    assert "nothing needs to be destroyed" in caught.value.hint


def test_without_the_plugin_it_says_where_it_is(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        Stubber(aws.client("ssm")),
        pytest.raises(PreconditionError, match="plugin is not installed") as caught,
        forward(aws, INSTANCE, 443, free_port()),
    ):
        pytest.fail("nothing leads there")
    assert "docs.aws.amazon.com" in caught.value.hint


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("1.2.707.0", True),
        ("1.2.497.1", True),
        ("1.3", True),
        ("2.0.0.0", True),
        ("1.2.497.0", False),
        ("1.2.463.0", False),
        ("1.1.999.9", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_a_plugin_that_wants_the_token_as_an_argument_is_refused(
    aws: Aws,
    port: int,
    noted: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    fits: bool,
) -> None:
    monkeypatch.setenv("PLUGIN_VERSION", version)
    local = free_port()
    if fits:
        with answering(aws, port, local), forward(aws, INSTANCE, port, local):
            assert ask(local) == b"HELLO"
        return
    with (
        Stubber(aws.client("ssm")),
        pytest.raises(PreconditionError, match="every user") as caught,
        forward(aws, INSTANCE, port, local),
    ):
        pytest.fail("the token would be in an argument")
    assert "1.2.497.0" in caught.value.hint
    assert not noted.exists()
