"""What the local fleet does beside the contract: deaths, notices, restarts, faults."""

import json
import time

import pytest

from hubfleet.clients import engine, engine_service
from hubfleet.clients.fleet_local import service_url
from hubfleet.errors import CommandError
from hubfleet.fleet.scaling import Message
from tests.fleet.backend import POOL, REBALANCE, SPOT, STATE_CHANGE, kind_of
from tests.fleet.local import LocalBackend


def ended(local: LocalBackend) -> list[str]:
    """Return the worker that the next state change is about."""
    (message,) = local.messages(STATE_CHANGE)
    detail = json.loads(message.body)["detail"]
    assert detail["state"] == "terminated"
    return [detail["instance-id"]]


def test_a_worker_is_a_node_that_boots(local: LocalBackend) -> None:
    local.operator.fail_boots(0)
    (worker,) = local.launched()
    done = local.fleet.run(worker.id, ["cat", "/proc/1/comm"], 10)
    assert done.stdout.strip() == "systemd"
    # What the service's own container lacks, a node has: it mounts, and runs an engine.
    assert local.fleet.run(worker.id, ["mount", "-t", "tmpfs", "x", "/mnt"], 10).returncode == 0
    seed = local.fleet.run(worker.id, ["cat", "/var/lib/hubfleet/seed/bootstrap.conf"], 10).stdout
    assert f"NODE_NAME={worker.id}\nPOLICY_NAME=swarm_worker\n" in seed


def test_machines_reach_it_by_name_and_believe_its_certificate(local: LocalBackend) -> None:
    (worker,) = local.launched()
    url = f"{service_url(local.settings.fleet.zone)}/v1/workers"
    argv = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", url]
    ca = ["--cacert", "/var/lib/hubfleet/seed/ca.crt"]
    assert local.fleet.run(worker.id, [*argv, *ca], 10).stdout == "401"
    header = ["-H", f"Authorization: Bearer {local.token}"]
    assert local.fleet.run(worker.id, [*argv, *ca, *header], 10).stdout == "200"


def test_what_a_deploy_launches_and_ends_is_noticed(local: LocalBackend) -> None:
    instance_id = local.unprotected()
    assert [worker.id for worker in local.scaling.workers()] == [instance_id]
    local.fleet.terminate(instance_id)
    assert ended(local) == [instance_id]


def test_an_end_leaves_nothing_behind(local: LocalBackend) -> None:
    (worker,) = local.launched()
    seed = local.deployment.node_dir(worker.id)
    assert seed.is_dir()
    local.scaling.terminate(worker.id)
    local.scaling.complete(local.hook(worker.id))
    local.await_end(worker.id)
    local.until(seed.exists, lambda there: not there)
    assert not [machine for machine in local.fleet.list() if machine.id == worker.id]


def test_a_killed_worker_is_missed_within_seconds(local: LocalBackend) -> None:
    dying, living = local.launched(2)
    local.until(local.scaling.workers, lambda ws: all(w.running_at for w in ws))
    local.advance(1.5)  # it has been seen to run by a turn
    begun = time.monotonic()
    local.operator.kill(dying.id)
    assert ended(local) == [dying.id]
    assert time.monotonic() - begun < 6
    assert local.running() == {living.id}


def test_a_spot_notice_comes_before_the_end(local: LocalBackend) -> None:
    taken_back, staying = local.launched(2)
    begun = time.monotonic()
    local.operator.spot(taken_back.id)
    (message,) = local.messages(SPOT)
    detail = json.loads(message.body)["detail"]
    assert detail == {"instance-id": taken_back.id, "instance-action": "terminate"}
    assert local.running() == {taken_back.id, staying.id}
    assert ended(local) == [taken_back.id]
    assert time.monotonic() - begun >= 3.0
    assert local.running() == {staying.id}


def test_a_rebalance_advice_ends_nothing(local: LocalBackend) -> None:
    (worker,) = local.launched()
    local.operator.rebalance(worker.id)
    (message,) = local.messages(REBALANCE)
    assert json.loads(message.body)["detail"] == {"instance-id": worker.id}
    local.advance(2)
    assert local.running() == {worker.id}


def test_a_failed_boot_is_a_machine_that_never_answers(local: LocalBackend) -> None:
    local.operator.fail_boots(1)
    (worker,) = local.launched()
    done = local.fleet.run(worker.id, ["cat", "/proc/1/comm"], 10)
    assert done.stdout.strip() == "sleep"
    assert local.scaling.standing(worker.id) is not None
    (second,) = local.launched()
    assert local.fleet.run(second.id, ["cat", "/proc/1/comm"], 10).stdout.strip() == "systemd"


def test_nothing_is_forgotten_in_a_restart(local: LocalBackend) -> None:
    leaving, staying, marked = local.launched(2) + local.launched(1)
    local.scaling.terminate(leaving.id)
    hook = local.hook(leaving.id)
    local.operator.spot(marked.id)
    local.messages(SPOT)
    local.run_dry(POOL, 60)
    with pytest.raises(CommandError):
        local.scaling.launch(1, POOL)
    local.put("kept")
    (message,) = local.scaling.receive(5)
    failures, workers = local.scaling.failures(), local.scaling.workers()
    local.restart()
    assert local.scaling.failures() == failures
    assert local.scaling.standing(staying.id) == next(w for w in workers if w.id == staying.id)
    found = local.scaling.standing(leaving.id)
    assert found is None or found.leaving
    with pytest.raises(CommandError):
        local.scaling.launch(1, POOL)
    # The delivery of before is good, the hook and the notice go on.
    local.scaling.acknowledge(message)
    local.scaling.complete(hook)
    local.await_end(leaving.id)
    local.await_end(marked.id)
    bodies: list[Message] = []
    while len(bodies) < 2:
        bodies += list(local.scaling.receive(5))
    assert [kind_of(each) for each in bodies] == [STATE_CHANGE, STATE_CHANGE]
    assert local.running() == {staying.id}


def test_workers_that_the_engine_may_start_again_are_waited_for(local: LocalBackend) -> None:
    (worker,) = local.launched()
    local.until(local.scaling.workers, lambda ws: all(w.running_at for w in ws))
    name = f"{local.deployment.network}-{worker.id}"
    # As after a restart of the engine: the service is there before the workers are.
    engine.remove_container(local.container)
    engine_service.kill(name)
    local.start()
    local.advance(1.5)
    assert local.scaling.standing(worker.id) is not None
    engine.start_container(name)
    local.advance(4)
    assert local.running() == {worker.id}


def test_broken_memory_is_put_aside(local: LocalBackend) -> None:
    (worker,) = local.launched()
    file = local.deployment.dir / "fleet" / "group.json"
    engine.remove_container(local.container)
    file.write_text('{"workers": {')
    local.start()
    assert [each.id for each in local.scaling.workers()] == [worker.id]
    assert file.with_suffix(".broken").exists()


def test_the_memory_is_private(local: LocalBackend) -> None:
    local.launched()
    directory = local.deployment.dir / "fleet"
    assert directory.stat().st_mode & 0o077 == 0
    for file in directory.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
