"""What stands in for ECR: a registry under its name, with its password, on the machines' network.

Debian's docker-registry, from the node image. Its certificate is one of its own authority, where
ECR's is a public one; and the credential helper is played, since it takes no other address of ECR.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

from hubfleet.clients.registry import Registry
from hubfleet.pki import Authority
from hubfleet.secrets import Secret, htpasswd_line
from hubfleet.state import Deployment
from tests.infrastructure.account import Shelf
from tests.rehearsal.cloud import Cloud
from tests.rehearsal.service import running, service

NAME = "hubfleet-rehearsal-ecr"
PORT = 443
INSIDE = "/run/ecr"

HELPER = r"""#!/bin/sh
# Plays amazon-ecr-credential-helper with what the machine's role may do.
set -eu
[ "$1" = get ]
read -r host || true  # no line ends it
metadata=$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$metadata/api/token")
role=$metadata/meta-data/iam/security-credentials/hubfleet-role
keys=$(curl -sf -H "X-aws-ec2-metadata-token: $token" "$role")
signing=$(echo "$keys" | jq -r '"user = \"\(.AccessKeyId):\(.SecretAccessKey)\""')
session=$(echo "$keys" | jq -r .Token)
region=$(jq -r .region /etc/hubfleet/aws.json)
echo "$signing" |
  curl -sf --config - --aws-sigv4 "aws:amz:$region:ecr" -H "X-Amz-Security-Token: $session" \
    -H 'Content-Type: application/x-amz-json-1.1' -d '{}' "$AWS_ENDPOINT_URL/" \
    -H 'X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken' |
  jq --arg host "$host" '.authorizationData[0].authorizationToken | @base64d | split(":")
    | {ServerURL: $host, Username: .[0], Secret: .[1]}'
"""


@dataclass
class Repositories:
    """The registry: `host` for machines, `local` on this machine."""

    host: str
    local: str
    ca_crt: Path


@dataclass(frozen=True)
class Writing(Shelf):
    """The writing side, which has moto's ECR know what it took."""

    there: Repositories

    def push(self, packed: Path, repository: str, tag: str) -> None:
        """Publish an image, as to ECR."""
        prefix, own = self.address.partition("/")[2], self.there
        local = Registry(f"{own.local}/{prefix}", own.ca_crt, self.user, self.password)
        local.push(packed, repository, tag)
        self.note(repository, tag)


def place(subnet: str) -> str:
    """Return the registry's address: the last that machines might take."""
    return str(list(ip_network(subnet).hosts())[-1])


@contextmanager
def repositories(
    cloud: Cloud, deployment: Deployment, subnet: str, room: Path
) -> Iterator[Repositories]:
    """Run the registry of an account on a network's `subnet` until the block ends.

    On this machine's loopback it is open, too: the operator publishes through that.
    """
    (given,) = cloud.client("ecr").get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
    account = cloud.client("sts").get_caller_identity()["Account"]
    host = f"{account}.dkr.ecr.{cloud.region}.amazonaws.com"
    room.mkdir()
    authority = Authority.ensure(room / "ca.crt", room / "ca.key", "Stands in for Amazon's CA")
    certificate, key = authority.issue([host, "localhost"])
    (room / "crt.pem").write_text(certificate)
    (room / "key.pem").write_text(key)
    (room / "htpasswd").write_text(htpasswd_line(user, Secret(password)))
    (room / "config.yml").write_text(_config())
    spec = replace(
        service(deployment, NAME, host, place(subnet)),
        command=["docker-registry", "serve", f"{INSIDE}/config.yml"],
        tmpfs={"/var/lib/registry": ""},
        binds={str(room): f"{INSIDE}:ro"},
        ports={f"{PORT}/tcp": ("127.0.0.1", deployment.ports.registry)},
    )
    with running(spec):
        yield Repositories(host, f"localhost:{deployment.ports.registry}", room / "ca.crt")


def _config() -> str:
    return f"""version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: /var/lib/registry}}}}
http:
  addr: :{PORT}
  tls: {{certificate: {INSIDE}/crt.pem, key: {INSIDE}/key.pem}}
auth:
  htpasswd: {{realm: ecr, path: {INSIDE}/htpasswd}}
"""
