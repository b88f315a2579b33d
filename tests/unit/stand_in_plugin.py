"""Stands in for AWS's session-manager-plugin: reads its arguments as that does, forwards TCP.

Order and meaning of the arguments: session.go of the plug-in. What it was given is noted in
$PLUGIN_NOTES; $PLUGIN_DOES makes it misbehave: `end` (says why, and ends), `deaf` (never listens),
`stubborn` (ignores SIGTERM).
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

ARGUMENTS = 7


def main(argv: list[str]) -> None:
    if argv[1:] == ["--version"]:
        say(os.environ.get("PLUGIN_VERSION", "1.2.707.0"))
        return
    response, region, operation, profile, request, endpoint = argv[1:ARGUMENTS]
    if response.startswith("AWS_SSM_START_SESSION_RESPONSE"):
        response = os.environ.pop(response)
    session, parameters = json.loads(response), json.loads(request)["Parameters"]
    Path(os.environ["PLUGIN_NOTES"]).write_text(
        json.dumps(
            {
                "pid": os.getpid(),
                "group": os.getpgid(0),
                "session": session,
                "arguments": argv[1:],
                "command_line": Path("/proc/self/cmdline").read_bytes().decode(),
                "meaning": [region, operation, profile, endpoint],
            }
        )
    )
    # It does nothing at Ctrl-C before it listens; what ends it is SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    does = os.environ.get("PLUGIN_DOES", "")
    say(f"\nStarting session with SessionId: {session['SessionId']}")
    if does == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if does == "end":
        say("Cannot perform start session: EOF")
        return
    if does == "deaf":
        time.sleep(60)
    forward(int(parameters["localPortNumber"][0]), int(parameters["portNumber"][0]))


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def forward(local_port: int, port: int) -> None:
    with socket.create_server(("127.0.0.1", local_port)) as server:
        while True:
            near, _ = server.accept()
            far = socket.create_connection(("127.0.0.1", port))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=pump, args=(one, other), daemon=True).start()


def pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        pass


if __name__ == "__main__":
    main(sys.argv)
