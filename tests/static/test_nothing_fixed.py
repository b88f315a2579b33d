"""No secret, account, fixed address or region stands outside environments/.

Tests and specs invent such things and are left out, as are the locks: they hold the attributes of
the environments. What else may stand, and why, is in ALLOWED.
"""

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

SKIPPED = ("environments/", "tests/", "terraform/tests/", "spec/", "requirements/", "docs/images/")
SKIPPED_PARTS = ("/spec/", ".lock.json", ".lock", "package-lock.json", "/test/")

PATTERNS = {
    "secret": re.compile(
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
        r"|(?i:aws_secret_access_key|password|secret|token)[\"']?\s*[:=]\s*[\"'][A-Za-z0-9+/=]{20,}[\"']"
        r"|\bgh[pousr]_[A-Za-z0-9]{30,}\b"
    ),
    "account": re.compile(r"(?<![\w.-])[0-9]{12}(?![\w.-])|(?<=:)[0-9]{12}(?=:)"),
    "region": re.compile(
        r"\b(?:us|eu|ap|sa|ca|me|af|il|mx|cn)-(?:gov-|iso-)?"
        r"(?:north|south|east|west|central)(?:east|west)?-[0-9]\b"
    ),
    "address": re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w.]|-[0-9])"),
}

ANYWHERE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "0.0.0.0/32", "169.254.0.0/16"),
        # for examples, by RFC 5737
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
    )
)
"""The same on every machine, and so no address of any deployment."""

POOLS = {"10.88.0.0", "10.89.0.0", "10.90.0.0", "172.30.0.0"}

ALLOWED: dict[str, set[str]] = {
    # Networks inside a machine and inside a Swarm, which may be the same in every deployment: the
    # roles' defaults, and what documents them.
    "roles/base.json": POOLS,
    "docs/reference/settings.md": POOLS,
    # The private ranges that no student reaches (RFC 1918, 6598), and multicast.
    "cookbooks/node_firewall/files/hubfleet-firewall": {
        *("10.0.0.0", "100.64.0.0", "172.16.0.0", "192.168.0.0", "224.0.0.0"),
    },
    # An example in a comment.
    "cookbooks/swarm/libraries/addresses.rb": {"10.0.0.5"},
    # The one region that S3 takes for granted.
    "hubfleet/aws/states.py": {"us-east-1"},
    # The local fleet's messages look like AWS's, of no account.
    "hubfleet/fleet/service/messages.py": {"000000000000"},
}
"""What may stand by file, each with its reason."""


def findings(text: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of what belongs into environments/."""
    for kind, pattern in PATTERNS.items():
        for match in pattern.finditer(text):
            if kind != "address" or _of_a_deployment(match[0]):
                yield kind, match[0]


def _of_a_deployment(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not any(address in network for network in ANYWHERE)


@pytest.fixture(scope="module")
def found(root: Path, files: list[Path]) -> dict[str, set[str]]:
    result: dict[str, set[str]] = {}
    for path in files:
        name = PurePosixPath(path.relative_to(root)).as_posix()
        if name.startswith(SKIPPED) or any(part in name for part in SKIPPED_PARTS):
            continue
        raw = path.read_bytes()
        if b"\0" not in raw and (there := {each for _, each in findings(raw.decode())}):
            result[name] = there
    return result


def test_nothing_of_one_deployment_stands_outside_environments(
    found: dict[str, set[str]],
) -> None:
    wrong = {name: each - ALLOWED.get(name, set()) for name, each in found.items()}
    assert {name: each for name, each in wrong.items() if each} == {}


def test_no_exception_outlives_its_reason(found: dict[str, set[str]]) -> None:
    stale = {name: each - found.get(name, set()) for name, each in ALLOWED.items()}
    assert {name: each for name, each in stale.items() if each} == {}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("secret", "AKIA" + "ABCDEFGHIJKLMNOP"),
        ("secret", 'password = "' + "a1B2" * 6 + '"'),
        ("secret", '{"token": "' + "f0" * 12 + '"}'),
        ("secret", "ghp_" + "x1" * 18),
        ("account", "allowed_account_ids = [" + "1234" * 3 + "]"),
        ("account", "arn:aws:iam::" + "1234" * 3 + ":role/x"),
        ("region", 'region = "' + "eu-" + 'central-1"'),
        ("region", "queue." + "ap-" + "southeast-2.amazonaws.com"),
        ("address", 'hub = "10.4.' + '0.7"'),
        ("address", "https://52.28.1." + "9/hub"),
    ],
)
def test_each_kind_is_noticed(kind: str, text: str) -> None:
    assert kind in {each for each, _ in findings(text)}


@pytest.mark.parametrize(
    "text",
    [
        'host = "127.0.0.1"',
        "listen 0.0.0.0:80;",
        "http://169.254.169.254/latest",
        "version = 1.2.3",
        "sha256:" + "0123456789ab" * 5,
        'secret = secrets.token_urlsafe("x")',
        "region = var.region",
    ],
)
def test_what_is_the_same_everywhere_is_not(text: str) -> None:
    assert list(findings(text)) == []
