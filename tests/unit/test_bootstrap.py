"""The bootstrap script against a real TLS server, with a stand-in for chef-client."""

import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "images" / "node" / "hubfleet-bootstrap"
MARK = "HUBFLEET-BOOTSTRAP "
NODE = "i-0123456789abcdef0"

CHEF_CLIENT = """#!/bin/bash
# Does what the next line of $CHEF_SCRIPT says; remembers its arguments.
echo "$*" >> "$HUBFLEET_ROOT/calls"
number=$(wc -l < "$HUBFLEET_ROOT/calls")
what=$(sed -n "${number}p" "$HUBFLEET_ROOT/script")
record() { echo "$1" > "$HUBFLEET_ROOT/var/lib/hubfleet/last-converge.json"; }
case $what in
  ok) [[ $* = *--local-mode* ]] || touch "$HUBFLEET_ROOT/etc/chef/client.pem"
      record '{"status":"success"}' ;;
  401) echo 'FATAL: Net::HTTPClientException: 401 "Unauthorized"'; exit 1 ;;
  409) echo 'FATAL: Net::HTTPClientException: 409 "Conflict"'; exit 1 ;;
  nopolicy)
    touch "$HUBFLEET_ROOT/etc/chef/client.pem"
    echo 'ERROR: Error loading policyfile from x: Net::HTTPClientException - 404 "Not Found"'
    exit 1 ;;
  refused) echo 'ERROR: Connection refused - ECONNREFUSED connect(2)'; exit 1 ;;
  recipe)
    touch "$HUBFLEET_ROOT/etc/chef/client.pem"
    record '{"status":"failed","failed_resource":"service[docker]","exception":"it \\"broke\\""}'
    echo 'FATAL: it broke'; exit 1 ;;
  compile) echo '[now] FATAL: SyntaxError in recipe'; exit 1 ;;
  early) echo '[now] FATAL: Errno::EIO: file[/a b] (x::default line 1) had an error: no'; exit 1 ;;
  *) echo "unexpected call $number: $*"; exit 99 ;;
esac
"""


class Handler(BaseHTTPRequestHandler):
    """Answers as the Chef server answers an unsigned request; `offset` moves its clock."""

    offset = 0.0
    statuses: tuple[int, ...] = ()

    def do_GET(self) -> None:
        first, *rest = type(self).statuses or (400,)
        type(self).statuses = tuple(rest)
        self.send_response_only(first)
        self.send_header("Date", formatdate(time.time() + type(self).offset, usegmt=True))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def openssl(folder: Path, *argv: str) -> None:
    subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two self-signed certificates for localhost: `good`, and `bad`, which nobody trusts."""
    folder = tmp_path_factory.mktemp("pki")
    for name in ("good", "bad"):
        openssl(
            folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        )  # fmt: skip
    return folder


@dataclass
class Machine:
    """A file system in which the script runs."""

    root: Path
    port: int

    @property
    def seed(self) -> Path:
        return self.root / "var/lib/hubfleet/seed"

    @property
    def client_key(self) -> Path:
        return self.root / "etc/chef/client.pem"

    def configure(self, **changes: str) -> None:
        values = {
            "NODE_NAME": NODE,
            "POLICY_NAME": "hub",
            "POLICY_GROUP": "local",
            "CHEF_SERVER_URL": f"https://localhost:{self.port}/organizations/hubfleet",
        } | changes
        text = "".join(f"{key}={value}\n" for key, value in values.items())
        (self.seed / "bootstrap.conf").write_text("# who this node is\n\n" + text)

    def script(self, *steps: str) -> None:
        (self.root / "script").write_text("".join(f"{step}\n" for step in steps))

    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def boot(self, deadline_s: int = 8, pause_s: int = 0) -> tuple[int, dict[str, object], str]:
        """Run the script; return its exit code, its last line and all that it printed."""
        done = subprocess.run(
            [SCRIPT],
            env=os.environ
            | {
                "PATH": f"{self.root}/bin:{os.environ['PATH']}",
                "HUBFLEET_ROOT": str(self.root),
                "HUBFLEET_BOOTSTRAP_DEADLINE_S": str(deadline_s),
                "HUBFLEET_BOOTSTRAP_PAUSE_S": str(pause_s),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        last = done.stdout.splitlines()[-1]
        assert last.startswith(MARK), done.stdout
        return done.returncode, json.loads(last.removeprefix(MARK)), done.stdout


@pytest.fixture
def machine(pki: Path, tmp_path: Path) -> Iterator[Machine]:
    """A machine whose Chef server answers with the certificate it expects."""
    with serve(pki, "good") as port:
        yield furnish(tmp_path / "machine", pki, port)


class serve:
    """Serve TLS on a port of its own while the context lasts."""

    def __init__(self, pki: Path, certificate: str) -> None:
        Handler.offset, Handler.statuses = 0.0, ()
        self.server = ThreadingHTTPServer(("localhost", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pki / f"{certificate}.crt", pki / f"{certificate}.key")
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)

    def __enter__(self) -> int:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return int(self.server.server_address[1])

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def furnish(root: Path, pki: Path, port: int) -> Machine:
    made = Machine(root, port)
    made.seed.mkdir(parents=True)
    (made.seed / "ca.crt").write_bytes((pki / "good.crt").read_bytes())
    (made.seed / "bootstrap.pem").write_text("key")
    (root / "bin").mkdir()
    (root / "bin/chef-client").write_text(CHEF_CLIENT)
    (root / "bin/chef-client").chmod(0o755)
    made.configure()
    return made


def test_a_good_start_registers_and_forgets_the_bootstrap_key(machine: Machine) -> None:
    machine.script("ok")
    code, line, _ = machine.boot()
    assert (code, line["status"], line["reason"]) == (0, "ok", "")
    assert not (machine.seed / "bootstrap.pem").exists()
    assert "validation_client_name=bootstrap" in machine.calls()[0]
    client = (machine.root / "etc/chef/client.rb").read_text()
    assert f"node_name '{NODE}'" in client
    assert "authentication_protocol_version '1.3'" in client
    assert "ssl_verify_mode :verify_peer" in client


def test_a_second_boot_changes_nothing(machine: Machine) -> None:
    machine.script("ok")
    machine.boot()
    code, line, _ = machine.boot()
    assert (code, line["status"]) == (0, "ok")
    assert len(machine.calls()) == 1


def test_a_boot_after_a_failed_converge_tries_again(machine: Machine) -> None:
    machine.script("recipe", "recipe", "recipe", "ok")
    assert machine.boot()[0] == 1
    assert machine.client_key.exists()
    assert machine.boot()[0] == 0


def test_a_failed_resource_is_named_after_three_attempts(machine: Machine) -> None:
    machine.script("recipe", "recipe", "recipe")
    code, line, _ = machine.boot()
    assert (code, line["reason"]) == (1, "converge")
    assert (line["resource"], line["detail"]) == ("service[docker]", 'it "broke"')
    assert len(machine.calls()) == 3
    assert (machine.seed / "bootstrap.pem").exists()


def test_a_recipe_that_does_not_compile_is_a_failed_converge(machine: Machine) -> None:
    machine.script("compile", "compile", "compile")
    _, line, _ = machine.boot()
    assert (line["reason"], line["resource"]) == ("converge", "")
    assert line["detail"] == "SyntaxError in recipe"


def test_a_resource_is_named_without_the_report_handler(machine: Machine) -> None:
    machine.script("early", "early", "early")
    _, line, _ = machine.boot()
    assert (line["reason"], line["resource"]) == ("converge", "file[/a b]")


@pytest.mark.parametrize("answer", ["401", "409"])
def test_a_refused_key_is_not_tried_again(machine: Machine, answer: str) -> None:
    machine.script(answer)
    code, line, _ = machine.boot()
    assert (code, line["reason"]) == (1, "key")
    assert len(machine.calls()) == 1


def test_a_missing_bootstrap_key_is_said(machine: Machine) -> None:
    (machine.seed / "bootstrap.pem").unlink()
    assert machine.boot()[1]["reason"] == "key"


def test_a_policy_that_comes_later_is_waited_for(machine: Machine) -> None:
    machine.script("nopolicy", "ok")
    code, line, printed = machine.boot()
    assert (code, line["status"]) == (0, "ok")
    assert "policy: the server has no policy hub in group local" in printed


def test_a_policy_that_never_comes_is_the_reason(machine: Machine) -> None:
    machine.script(*["nopolicy"] * 9)
    code, line, _ = machine.boot(deadline_s=0, pause_s=1)
    assert (code, line["reason"]) == (1, "policy")


def test_a_certificate_of_another_authority_ends_it(pki: Path, tmp_path: Path) -> None:
    with serve(pki, "bad") as port:
        machine = furnish(tmp_path / "machine", pki, port)
        code, line, _ = machine.boot()
    assert (code, line["reason"]) == (1, "tls")
    assert machine.calls() == []


def test_a_bad_certificate_with_a_wrong_clock_is_the_clocks_fault(
    pki: Path, tmp_path: Path
) -> None:
    with serve(pki, "bad") as port:
        Handler.offset = 5 * 365 * 86400
        machine = furnish(tmp_path / "machine", pki, port)
        code, line, _ = machine.boot(deadline_s=0, pause_s=1)
    assert (code, line["reason"]) == (1, "clock")


@pytest.mark.parametrize("offset", [-1000, 1000])
def test_a_clock_that_is_off_is_said_and_waited_for(machine: Machine, offset: int) -> None:
    Handler.offset = offset
    code, line, printed = machine.boot(deadline_s=4, pause_s=1)
    assert (code, line["reason"]) == (1, "clock")
    assert "trying again" in printed
    assert machine.calls() == []


def test_a_server_that_is_not_up_is_waited_for(machine: Machine) -> None:
    Handler.statuses = (502,)
    machine.script("refused", "ok")
    code, line, printed = machine.boot()
    assert (code, line["status"]) == (0, "ok")
    assert "answers with status 502" in printed
    assert "ECONNREFUSED" in printed


def test_a_server_that_never_comes_is_unreachable(machine: Machine) -> None:
    machine.configure(CHEF_SERVER_URL="https://localhost:1/organizations/hubfleet")
    code, line, _ = machine.boot(deadline_s=0, pause_s=1)
    assert (code, line["reason"]) == (1, "unreachable")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("NODE_NAME", "../etc"),
        ("NODE_NAME", "i-0123456789abcdef0' ; touch /tmp/x"),
        ("POLICY_NAME", ""),
        ("CHEF_SERVER_URL", "http://localhost/organizations/hubfleet"),
        ("COLOUR", "red"),
        ("LOCAL_POLICY", "/does/not/exist.tgz"),
    ],
)
def test_a_malformed_seed_is_refused(machine: Machine, key: str, value: str) -> None:
    machine.configure(**{key: value})
    code, line, _ = machine.boot()
    assert (code, line["reason"]) == (1, "identity")
    assert machine.calls() == []


def test_a_chef_server_converges_from_its_archive_first(machine: Machine) -> None:
    groups = machine.root / "made/policy_groups"
    groups.mkdir(parents=True)
    (groups / "local.json").write_text("{}")
    subprocess.run(
        ["tar", "-czf", machine.seed / "policy.tgz", "-C", machine.root / "made", "policy_groups"],
        check=True,
    )
    machine.configure(LOCAL_POLICY="/var/lib/hubfleet/seed/policy.tgz", POLICY_GROUP="staging")
    machine.script("ok", "ok")
    assert machine.boot()[0] == 0
    first, second = machine.calls()
    assert "--local-mode" in first
    assert "--local-mode" not in second
    policy = machine.root / "var/lib/hubfleet/policy"
    assert (policy / "policy_groups/staging.json").exists()
    assert "policy_group 'staging'" in (policy / "client.rb").read_text()
