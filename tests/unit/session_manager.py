"""Session Manager as the tests have it: a stand-in plug-in on the PATH, answers for its calls."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from hubfleet.clients.aws import Aws
from hubfleet.clients.session_manager import DOCUMENT, PLUGIN

INSTANCE = "i-0123456789abcdef0"
SESSION = {
    "SessionId": "operator-0a1b2c3d4e5f",
    "TokenValue": "AAEAAsecret-token",
    "StreamUrl": "wss://ssmmessages.eu-central-1.amazonaws.com/v1/data-channel/operator-0a1b",
}


def install(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the stand-in on the PATH; return the file in which it notes what it was given."""
    program = directory / "bin" / PLUGIN
    program.parent.mkdir()
    stand_in = Path(__file__).with_name("stand_in_plugin.py")
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {stand_in} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("PLUGIN_NOTES", str(directory / "notes.json"))
    return directory / "notes.json"


def request(port: int, local_port: int, instance: str = INSTANCE) -> dict[str, Any]:
    """Return what StartSession is to be asked."""
    parameters = {"portNumber": [str(port)], "localPortNumber": [str(local_port)]}
    return {"Target": instance, "DocumentName": DOCUMENT, "Parameters": parameters}


def answering(aws: Aws, port: int, local_port: int, instance: str = INSTANCE) -> Stubber:
    """Return a stub that lets a session begin and end, once."""
    stub = Stubber(aws.client("ssm"))
    stub.add_response("start_session", SESSION, request(port, local_port, instance))
    ended = {"SessionId": SESSION["SessionId"]}
    stub.add_response("terminate_session", ended, ended)
    return stub


def notes(file: Path) -> Any:
    """Return what the stand-in has noted."""
    return json.loads(file.read_text())


def gone(pid: int) -> bool:
    """Say whether a process has ended."""
    return not Path(f"/proc/{pid}").exists()
