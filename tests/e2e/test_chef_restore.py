"""The Chef server's machine and data are lost; a restore brings back all that knows the nodes."""

import os
import re
import subprocess
import sys

from hubfleet import backup, policy
from hubfleet.clients import engine
from hubfleet.clients.chef import Chef
from hubfleet.fleet.base import Role
from hubfleet.settings import ROOT
from tests.e2e.conftest import Lab

DEPLOY_TIMEOUT_S = 900


def invoke(*words: str) -> tuple[int, str]:
    """Run a command; return its exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEPLOY_TIMEOUT_S,
        env={**os.environ, "CI": "1"},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def keys(chef: Chef) -> dict[str, str | None]:
    return {name: chef.client_key(name, "default") for name in chef.clients()}


def test_a_lost_chef_server_is_restored_and_no_node_registers_again(lab: Lab) -> None:
    name = lab.deployment.name
    chef = policy.connect(lab.deployment)
    machines = [*lab.machines(Role.HUB), *lab.machines(Role.SWARM_WORKER)]
    nodes = [machine.id for machine in machines]
    before = keys(chef)
    assert set(nodes) < set(before)
    code, words = invoke("chef.backup", "--name", name)
    assert code == 0, words

    server = lab.machines(Role.CHEF_SERVER)[0]
    lab.fleet.terminate(server.id)
    engine.remove_volume(f"{lab.deployment.network}-chef")

    code, words = invoke("deploy", "--name", name)
    assert code == 3, words
    assert f"knows none of the {len(nodes)} machines" in words
    file = backup.newest(lab.deployment)
    assert re.search(rf"chef\.restore\s+{re.escape(str(file))}", words), words
    assert not set(nodes) & set(chef.clients())

    code, words = invoke("chef.restore", str(file), "--name", name, "--yes")
    assert code == 0, words
    code, words = invoke("deploy", "--name", name)
    assert code == 0, words

    after = keys(chef)
    assert {node: after.get(node) for node in nodes} == {node: before[node] for node in nodes}
    fresh = {machine.id for machine in lab.machines(Role.CHEF_SERVER)}
    assert set(after) == {"operator", "bootstrap", "fleet", *nodes, *fresh}
    for machine in machines:
        lab.on(machine, "chef-client", timeout=300)
