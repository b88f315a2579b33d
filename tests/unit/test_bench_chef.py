"""The Chef server's benchmark: who comes when, what is sent, and which figures come of it."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from hubfleet.bench import chef_web
from hubfleet.bench.chef import figures
from hubfleet.bench.chef_load import Load, address_of
from hubfleet.bench.chef_memory import Memory
from hubfleet.bench.chef_plan import GROUP, Member, Policy, Signer, arrivals, names
from hubfleet.clients.chef_load import Sample

ROOT = "/organizations/hubfleet"
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
POLICY = Policy("swarm_worker", (("swarm", "abc"), ("node_base", "def")), ("1" * 32, "2" * 32))
NODE = {"name": "first", "policy_name": "bench_harmless", "automatic": {"os": "linux"}}


def member(key: rsa.RSAPrivateKey | None = None) -> Member:
    return Member(Signer(ROOT, "i-1", key), POLICY)


def load(ms: Sequence[float], failed: int = 0, cpu_s: float = 1.0) -> Load:
    samples = [Sample("GET nodes", each / 1000, "") for each in ms]
    samples += [Sample("PUT nodes", 0.001, "status 500")] * failed
    return Load(samples, server_cpu_s=cpu_s, planned=len(samples))


def test_nodes_come_at_the_same_time_in_every_run_and_all_over_the_minute() -> None:
    waits = arrivals(names(100), 60.0)
    assert waits == arrivals(names(100), 60.0)
    assert all(0 <= wait < 60 for wait in waits.values())
    per_quarter = [
        sum(start <= w < start + 15 for w in waits.values()) for start in (0, 15, 30, 45)
    ]
    assert min(per_quarter) >= 15
    assert len(set(waits.values())) == 100


def test_calls_are_those_of_chef_client_in_its_order() -> None:
    converge = member().converge(NODE, AT)
    calls = [*converge.before, *converge.downloads, *converge.after]
    assert [(call.method, call.path.removeprefix(f"{ROOT}/"), call.status) for call in calls] == [
        ("GET", "nodes/i-1", 404),
        ("POST", "nodes", 201),
        ("GET", f"policy_groups/{GROUP}/policies/swarm_worker", 200),
        ("GET", "cookbook_artifacts/swarm/abc", 200),
        ("GET", "cookbook_artifacts/node_base/def", 200),
        ("GET", f"file_store/checksums/{'1' * 32}", 200),
        ("GET", f"file_store/checksums/{'2' * 32}", 200),
        ("GET", "required_recipe", 404),
        ("PUT", "nodes/i-1", 200),
    ]
    assert len(converge) == len(calls)
    saved = json.loads(calls[-1].body)
    assert (saved["name"], saved["policy_name"], saved["policy_group"]) == (
        "i-1",
        "swarm_worker",
        GROUP,
    )
    assert saved["automatic"]["os"] == "linux"
    assert "os" not in json.loads(calls[1].body)["automatic"]


def test_no_two_saves_are_the_same() -> None:
    one, two = (member().save(NODE, AT, number).body for number in (1, 2))
    assert one != two


def test_signed_calls_carry_a_signature_of_their_own_text_and_others_none() -> None:
    key = rsa.generate_private_key(65537, 2048)
    call = member(key).save(NODE, AT, 1)
    fields = [call.headers[f"X-Ops-Authorization-{n}"] for n in range(1, 7)]
    text = (
        f"Method:PUT\nPath:{ROOT}/nodes/i-1\nX-Ops-Content-Hash:{call.headers['X-Ops-Content-Hash']}"
        "\nX-Ops-Sign:version=1.3\nX-Ops-Timestamp:2026-11-23T12:00:00Z\nX-Ops-UserId:i-1"
        "\nX-Ops-Server-API-Version:2"
    )
    signature = base64.b64decode("".join(fields))
    public = key.public_key()
    public.verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        public.verify(signature, b"another", padding.PKCS1v15(), hashes.SHA256())
    assert not [name for name in member().save(NODE, AT, 1).headers if "Authorization" in name]


def test_a_policy_is_read_from_its_lock_and_its_cookbooks() -> None:
    lock = {"name": "hub", "cookbook_locks": {"swarm": {"identifier": "abc", "version": "1.0.0"}}}
    manifest = {"all_files": [{"name": "x", "checksum": "1" * 32}]}
    assert Policy.of(lock, [manifest]) == Policy("hub", (("swarm", "abc"),), ("1" * 32,))


def test_figures_compare_the_same_load_on_both_servers() -> None:
    ours, stock = load([10.0] * 19 + [300.0], cpu_s=0.06), load([20.0] * 20, cpu_s=0.03)
    found = {figure.name: figure for figure in figures(ours, stock, Memory(60.0, 70.0, 100))}
    assert list(found) == [
        "chef.failures",
        "chef.calls",
        "chef.p95_ms",
        "chef.ratio_zero",
        "chef.resident_mb",
        "chef.growth_mb",
    ]
    assert (found["chef.p95_ms"].value, found["chef.p95_ms"].baseline) == (10.0, 20.0)
    assert found["chef.ratio_zero"].value == pytest.approx(2.0)
    assert [name for name, figure in found.items() if not figure.ok] == ["chef.ratio_zero"]
    assert found["chef.growth_mb"].value == 10.0


def test_every_failed_call_and_every_failed_client_is_a_failure() -> None:
    ours = load([1.0], failed=2)
    ours.clients.append("chef-client real-1: FATAL")
    found = {figure.name: figure for figure in figures(ours, load([1.0]), Memory(1.0, 1.0, 1))}
    assert found["chef.failures"].value == 3
    assert not found["chef.failures"].ok
    assert ours.problems[0] == "PUT nodes: status 500"


def test_of_a_web_server_the_better_round_counts_and_every_failure() -> None:
    rounds = [load([5.0], cpu_s=0.004), load([9.0], failed=1, cpu_s=0.002)]
    found = {figure.name: figure.value for figure in chef_web.figures("puma-4", rounds)}
    assert found == {
        "chef.puma-4.failures": 1,
        "chef.puma-4.p95_ms": 5.0,
        "chef.puma-4.service_ms": 1.0,
    }


def test_an_address_needs_a_port() -> None:
    assert address_of("http://127.0.0.1:81/organizations/x") == ("127.0.0.1", 81)
    with pytest.raises(ValueError, match="no port"):
        address_of("http://127.0.0.1/organizations/x")
