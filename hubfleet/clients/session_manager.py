"""Ports of machines that no network leads to: AWS Session Manager's port forwarding.

The session's data go through AWS's own plug-in, started as the AWS CLI starts it
(awscli/customizations/sessionmanager.py), but in a process group of its own, so that Ctrl-C reaches
this process alone, which then ends the session in order.
"""

import errno
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from hubfleet.clients import process
from hubfleet.clients.aws import Aws
from hubfleet.clients.aws_fleet import AwsRefusal
from hubfleet.errors import CommandError, HubfleetError, PreconditionError

PLUGIN = "session-manager-plugin"
INSTALL = (
    "install it: https://docs.aws.amazon.com/systems-manager/latest/userguide/"
    "session-manager-working-with-install-plugin.html"
)

DOCUMENT = "AWS-StartPortForwardingSession"

RESPONSE = "AWS_SSM_START_SESSION_RESPONSE"
"""Variable in which the plug-in gets the session's token: arguments are read by every user."""

LAST_WITHOUT_RESPONSE = (1, 2, 497, 0)
"""The last version of the plug-in that knows no such variable."""

OPEN_TIMEOUT_S = 30.0
"""Seconds until the local port must take connections."""

POLL_S = 0.1
VERSION_TIMEOUT_S = 20
NOT_CONNECTED = "TargetNotConnected"
HOST = "localhost"
"""Where the plug-in listens."""


class NotConnected(AwsRefusal):
    """The machine's agent is not, or not yet, connected with Session Manager."""


class PortTaken(PreconditionError):
    """Something listens on the local port already, such as another tunnel."""


@dataclass(frozen=True)
class Tunnel:
    """An open way to a port of a machine."""

    name: str
    program: subprocess.Popen[bytes]
    log: IO[bytes]

    @property
    def open(self) -> bool:
        """Say whether the plug-in still runs."""
        return self.program.poll() is None

    def hold(self) -> None:
        """Wait until the plug-in ends, which is an error: CommandError with what it said."""
        self.program.wait()
        raise self.broken()

    def broken(self, why: str = "") -> CommandError:
        """Return the error that the tunnel has ended, with the plug-in's last words."""
        return CommandError(
            f"the tunnel to {self.name} has broken{f': {why}' if why else ''}",
            "Session Manager ends sessions that carry nothing for 20 minutes: run it again",
            self.said(),
        )

    def said(self) -> str:
        """Return the last lines that the plug-in has written."""
        self.log.seek(0)
        return process.tail(self.log.read().decode(errors="replace"))


@contextmanager
def forward(aws: Aws, instance_id: str, port: int, local_port: int) -> Iterator[Tunnel]:
    """Lead `localhost:local_port` to a port of a machine, as long as the context lasts.

    Raises PreconditionError without the plug-in, PortTaken, NotConnected where the machine is not
    (yet) connected, AwsRefusal, and CommandError with the plug-in's words where the port does not
    open within OPEN_TIMEOUT_S, or where what runs in the context fails because the plug-in ended.
    """
    plugin = _plugin()
    _require_free(local_port)
    request = {
        "Target": instance_id,
        "DocumentName": DOCUMENT,
        "Parameters": {"portNumber": [str(port)], "localPortNumber": [str(local_port)]},
    }
    session = _start(aws, request)
    try:
        with tempfile.TemporaryFile() as log:
            name = f"{instance_id}:{port}"
            tunnel = Tunnel(name, _run(plugin, aws, session, request, log), log)
            try:
                _wait(tunnel, local_port, aws.region)
                yield tunnel
            except HubfleetError as error:
                if not tunnel.open and not isinstance(error, _NeverOpenError):
                    raise tunnel.broken(error.message) from error
                raise
            finally:
                _end(tunnel.program)
    finally:
        # The plug-in has told the machine already. What is refused here does not matter: a session
        # without its plug-in ends by itself.
        with suppress(HubfleetError):
            aws.call("ssm", "terminate_session", SessionId=session["SessionId"])


class _NeverOpenError(CommandError):
    """The local port has not opened."""


def _plugin() -> str:
    """Return the plug-in's path; PreconditionError where it is missing or too old."""
    path = shutil.which(PLUGIN)
    if path is None:
        raise PreconditionError(
            f"{PLUGIN} is not installed, and no other way leads to the machine", INSTALL
        )
    said = process.run([path, "--version"], timeout=VERSION_TIMEOUT_S, check=False).stdout.strip()
    fits = re.fullmatch(r"\d+(\.\d+){0,3}", said)
    version = tuple(int(part) for part in said.split(".")) if fits else ()
    if version <= LAST_WITHOUT_RESPONSE:
        oldest = ".".join(map(str, LAST_WITHOUT_RESPONSE))
        raise PreconditionError(
            f"{path} is of version {said[:40] or 'unknown'}, and takes the session's token as an "
            "argument, which every user of this machine can read",
            f"one later than {oldest} is needed; {INSTALL}",
        )
    return path


def _require_free(port: int) -> None:
    """Raise PreconditionError where somebody listens on a port of this machine already."""
    for family, kind, _, _, address in socket.getaddrinfo(HOST, port, type=socket.SOCK_STREAM):
        with socket.socket(family, kind) as probe:
            # As the plug-in does: a connection that was closed lately does not hold the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except PermissionError as error:
                raise PreconditionError(
                    f"this user may not listen on port {port}",
                    "take one from 1024 on",
                ) from error
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    continue  # no IPv6 here, for instance
                raise PortTaken(
                    f"port {port} of this machine is in use",
                    f"close the other tunnel: ss -ltnp 'sport = :{port}' names what listens; the "
                    "port stands in the deployment's record, and nothing needs to be destroyed",
                ) from error


def _start(aws: Aws, request: Mapping[str, Any]) -> dict[str, str]:
    """Begin a session; return what the plug-in needs to know of it."""
    target = request["Target"]
    try:
        with aws.refusals(f"no session with {target} can be started"):
            answer = aws.call("ssm", "start_session", **request)
    except AwsRefusal as refusal:
        if refusal.code != NOT_CONNECTED:
            raise
        raise NotConnected(
            f"{target} is not connected with Session Manager",
            "a machine connects within minutes of its start; after that: "
            f"aws ec2 get-console-output --region {aws.region} --instance-id {target}",
            refusal.code,
            refusal.text,
        ) from refusal
    return {key: str(answer[key]) for key in ("SessionId", "TokenValue", "StreamUrl")}


def _run(
    plugin: str,
    aws: Aws,
    session: Mapping[str, str],
    request: Mapping[str, Any],
    log: IO[bytes],
) -> subprocess.Popen[bytes]:
    endpoint = aws.client("ssm").meta.endpoint_url
    # An empty profile: the plug-in finds the credentials where boto3 has found them.
    argv = [plugin, RESPONSE, aws.region, "StartSession", "", json.dumps(request), endpoint]
    return subprocess.Popen(
        argv,
        env={**os.environ, RESPONSE: json.dumps(session)},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        process_group=0,
    )


def _wait(tunnel: Tunnel, port: int, region: str) -> None:
    """Wait until the local port takes connections; CommandError where it never does."""
    deadline = time.monotonic() + OPEN_TIMEOUT_S
    while time.monotonic() < deadline:
        taken = _takes_connections(port)
        if not tunnel.open:
            raise _NeverOpenError(
                f"{PLUGIN} ended before port {port} led to {tunnel.name}",
                "what it said may tell why; its logs: /usr/local/sessionmanagerplugin/logs",
                tunnel.said(),
            )
        if taken:
            return
        time.sleep(POLL_S)
    raise _NeverOpenError(
        f"{PLUGIN} has not opened port {port} to {tunnel.name} within {OPEN_TIMEOUT_S:g} s",
        f"this machine must reach ssmmessages.{region}.amazonaws.com; the plug-in said:",
        tunnel.said(),
    )


def _takes_connections(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def _end(program: subprocess.Popen[bytes]) -> None:
    """End the plug-in, with a moment to tell the machine; a second Ctrl-C leaves none behind."""
    program.terminate()
    try:
        program.wait(process.GRACE_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        program.kill()
        program.wait()
