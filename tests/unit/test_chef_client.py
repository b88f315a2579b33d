"""The Chef API client: signatures as mixlib-authentication verifies them, TLS, clear errors."""

import http.server
import ipaddress
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_wire import ChefServerError, sign
from hubfleet.errors import PreconditionError
from hubfleet.settings import ROOT

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NOW = datetime.now(UTC)

VERIFIER = """
require 'json'
require 'openssl'
require 'mixlib/authentication/signatureverification'
Request = Struct.new(:env, :method, :path, :raw_post) do
  def params = {}
end
input = JSON.parse($stdin.read)
key = OpenSSL::PKey::RSA.new(input['public_key'])
answers = input['requests'].map do |request|
  env = request['headers'].to_h { |name, value| ["HTTP_#{name.upcase.tr('-', '_')}", value] }
  env['HTTP_HOST'] = 'chef.test'
  wrapped = Request.new(env, request['method'], request['path'], request['body'])
  !!Mixlib::Authentication::SignatureVerification.new(wrapped).authenticate_request(key)
rescue Mixlib::Authentication::AuthenticationError
  false
end
puts JSON.generate(answers)
"""


def signed(method: str, path: str, body: str = "", at: datetime = NOW) -> dict[str, Any]:
    headers = sign(KEY, "operator", method, path, body, at)
    return {"method": method, "path": path, "body": body, "headers": headers}


def test_mixlib_authentication_accepts_our_signatures() -> None:
    good = signed("POST", "/organizations/hubfleet/clients", '{"name": "é"}')
    requests = {
        "body": (good, True),
        "no body": (signed("GET", "/organizations/hubfleet/nodes"), True),
        "double and trailing slash": (signed("GET", "/organizations//hubfleet/"), True),
        "root": (signed("GET", "/"), True),
        "other zone": (signed("GET", "/", at=NOW.astimezone()), True),
        "other method": ({**good, "method": "PUT"}, False),
        "other path": ({**good, "path": "/organizations/hubfleet/users"}, False),
        "other body": ({**good, "body": "{}"}, False),
        "other user": ({**good, "headers": {**good["headers"], "X-Ops-UserId": "eve"}}, False),
        "too old": (signed("GET", "/", at=NOW - timedelta(seconds=930)), False),
    }
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    question = {"public_key": public.decode(), "requests": [r for r, _ in requests.values()]}
    done = subprocess.run(
        [ROOT / "bin/_bundle", "ruby", "-e", VERIFIER],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = dict(zip(requests, json.loads(done.stdout), strict=True))
    assert answers == {name: accepted for name, (_, accepted) in requests.items()}


def test_every_request_is_signed_by_protocol_1_3() -> None:
    headers = signed("GET", "/")["headers"]
    assert headers["X-Ops-Sign"] == "algorithm=sha256;version=1.3;"
    assert all(len(value) <= 60 for name, value in headers.items() if "Authorization" in name)


ANSWERS: dict[str, tuple[int, object]] = {
    "GET /organizations/hubfleet/nodes": (200, {"i-2": "url", "i-1": "url"}),
    "GET /organizations/hubfleet/policies": (200, {"hub": {"revisions": {"b": {}, "a": {}}}}),
    "GET /organizations/hubfleet/policy_groups": (
        200,
        {"local": {"policies": {"hub": {"revision_id": "a"}}}, "staging": {"uri": "url"}},
    ),
    "POST /organizations/hubfleet/clients": (201, {"uri": "url"}),
    "DELETE /organizations/hubfleet/nodes/i-1": (200, {"name": "i-1"}),
    "DELETE /organizations/hubfleet/clients/i-1": (403, {"error": ["missing delete permission"]}),
    "GET /organizations/hubfleet/clients": (401, {"error": ["Invalid signature for 'operator'"]}),
}


class Server(http.server.BaseHTTPRequestHandler):
    """Answers like a Chef server; what it does not know is 404."""

    seen: list[tuple[str, str, dict[str, str]]]

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.seen.append((f"{self.command} {self.path}", body, dict(self.headers.items())))
        missing = (404, {"error": ["not found"]})
        status, answer = ANSWERS.get(f"{self.command} {self.path}", missing)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 - names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has
        """Keep quiet."""


def write_certificate(folder: Path, name: str) -> Path:
    """Write a self-signed certificate for 127.0.0.1 with its key; return the certificate's path."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(minutes=5))
        .not_valid_after(NOW + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(KEY, hashes.SHA256())
    )
    file = folder / f"{name}.crt"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the client's key and two certificates, each its own authority."""
    folder = tmp_path_factory.mktemp("chef")
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (folder / "operator.pem").write_bytes(pem)
    write_certificate(folder, "right")
    write_certificate(folder, "other")
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """Run a TLS server and return its organization's URL."""
    Server.seen = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "right.crt", folder / "operator.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/organizations/hubfleet"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def chef(url: str, folder: Path) -> Chef:
    return Chef(url, folder / "operator.pem", folder / "right.crt")


def test_what_the_server_holds(chef: Chef) -> None:
    assert chef.nodes() == ["i-1", "i-2"]
    assert chef.policies() == {"hub": ["a", "b"]}
    assert chef.policy_groups() == {"local": {"hub": "a"}, "staging": {}}


def test_a_client_is_created_by_its_public_key(chef: Chef) -> None:
    chef.create_client("i-3", "PUBLIC")
    request, body, headers = Server.seen[-1]
    assert request == "POST /organizations/hubfleet/clients"
    assert json.loads(body) == {"name": "i-3", "public_key": "PUBLIC"}
    assert headers["X-Ops-Server-API-Version"] == "2"


def test_deleting_what_is_gone_is_no_error(chef: Chef) -> None:
    assert chef.delete_node("i-1") is True
    assert chef.delete_node("i-9") is False


def test_the_servers_own_words_reach_the_user(chef: Chef) -> None:
    with pytest.raises(ChefServerError, match="missing delete permission") as forbidden:
        chef.delete_client("i-1")
    assert forbidden.value.status == 403
    with pytest.raises(ChefServerError, match="Invalid signature") as unknown:
        chef.clients()
    assert "key" in unknown.value.hint
    assert "clock" not in unknown.value.hint


@pytest.mark.parametrize(
    "sentence",
    [
        "check the clock: the request is dated 2026-01-01T00:00:00Z; synchronize the clock",
        "Failed to authenticate as operator. Synchronize the clock on your host.",
    ],
)
def test_a_wrong_clock_is_called_a_clock(
    chef: Chef, monkeypatch: pytest.MonkeyPatch, sentence: str
) -> None:
    answer = (401, {"error": [sentence]})
    monkeypatch.setitem(ANSWERS, "GET /organizations/hubfleet/clients", answer)
    with pytest.raises(ChefServerError, match="lock") as late:
        chef.clients()
    assert "NTP" in late.value.hint
    assert "key" not in late.value.hint


def test_a_certificate_of_another_authority_is_refused(url: str, folder: Path) -> None:
    seen = len(Server.seen)
    with pytest.raises(PreconditionError, match="our CA has not signed"):
        Chef(url, folder / "operator.pem", folder / "other.crt").nodes()
    assert len(Server.seen) == seen


def test_nobody_there(folder: Path) -> None:
    chef = Chef(
        "https://127.0.0.1:1/organizations/x", folder / "operator.pem", folder / "right.crt"
    )
    with pytest.raises(PreconditionError, match="cannot be reached"):
        chef.nodes()


def test_no_answer_in_time(folder: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Server) as silent:
        url = f"https://127.0.0.1:{silent.server_port}"
        chef = Chef(url, folder / "operator.pem", folder / "right.crt", timeout=0.2)
        with pytest.raises(PreconditionError, match="does not answer in time"):
            chef.nodes()


def test_a_key_that_is_none_is_named(folder: Path) -> None:
    with pytest.raises(PreconditionError, match=r"right\.crt holds no private key"):
        Chef("https://chef.test", folder / "right.crt", folder / "right.crt")
    with pytest.raises(PreconditionError, match=r"nobody\.pem is missing"):
        Chef("https://chef.test", folder / "nobody.pem", folder / "right.crt")
