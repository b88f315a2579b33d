"""The contract of `ScalingFleet`, for every back end."""

import dataclasses
import json
import time
from contextlib import suppress
from datetime import datetime

import pytest

from hubfleet.errors import CommandError
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Hook, Message, NoCapacity
from tests.fleet.backend import LIFECYCLE, POOL, STATE_CHANGE, Backend, kind_of

UNKNOWN = "i-00000000000000000"


def taken(backend: Backend) -> list[Message]:
    """Return and delete what is in the queue now."""
    found = list(backend.scaling.receive(1))
    for message in found:
        backend.scaling.acknowledge(message)
    return found


def test_workers_are_listed_in_the_order_of_their_launch(backend: Backend) -> None:
    before = time.time()
    first, second = backend.launched(1)[0], backend.launched(1)[0]
    found = backend.until(
        backend.scaling.workers, lambda ws: all(w.running_at is not None for w in ws)
    )
    assert [worker.id for worker in found] == [first.id, second.id]
    for worker in found:
        assert worker.state is State.RUNNING
        assert worker.pool == POOL
        assert worker.protected and not worker.leaving
        # A back end may tell whole seconds.
        assert before - 1 <= worker.launched_at <= (worker.running_at or 0) + 1
        assert worker.running_at is not None and worker.running_at <= time.time() + 1
        assert worker.address
        assert backend.scaling.standing(worker.id) == worker


def test_an_order_of_two_brings_two(backend: Backend) -> None:
    assert len({worker.id for worker in backend.launched(2)}) == 2


@pytest.mark.needs("hooks")
def test_a_termination_waits_for_its_hook(backend: Backend) -> None:
    leaving, staying = backend.launched(2)
    backend.scaling.terminate(leaving.id)
    hook = backend.hook(leaving.id)
    assert [w.leaving for w in backend.scaling.workers()] == [True, False]
    backend.scaling.complete(hook)
    backend.await_end(leaving.id)
    assert [worker.id for worker in backend.scaling.workers()] == [staying.id]
    (message,) = backend.messages(STATE_CHANGE)
    assert json.loads(message.body)["detail"] == {"instance-id": leaving.id, "state": "terminated"}


@pytest.mark.needs("hooks")
def test_the_message_of_a_hook_has_awss_shape(backend: Backend) -> None:
    (worker,) = backend.launched()
    before = int(time.time())
    backend.scaling.terminate(worker.id)
    (message,) = backend.messages(LIFECYCLE)
    document = json.loads(message.body)
    assert document["source"] == "aws.autoscaling"
    assert document["version"] == "0" and document["id"] and document["account"]
    assert datetime.strptime(document["time"], "%Y-%m-%dT%H:%M:%S%z").timestamp() >= before
    detail = document["detail"]
    assert detail["EC2InstanceId"] == worker.id
    assert detail["LifecycleTransition"] == "autoscaling:EC2_INSTANCE_TERMINATING"
    assert detail["AutoScalingGroupName"] in document["resources"][0]
    assert detail["LifecycleHookName"] and detail["LifecycleActionToken"]


@pytest.mark.needs("hooks")
def test_a_second_termination_changes_nothing(backend: Backend) -> None:
    (worker,) = backend.launched()
    backend.scaling.terminate(worker.id)
    backend.scaling.terminate(worker.id)
    backend.hook(worker.id)
    assert [kind_of(message) for message in taken(backend)] == []


def test_what_is_gone_or_never_was_can_be_ended_and_stands_nowhere(backend: Backend) -> None:
    (worker,) = backend.launched()
    backend.scaling.terminate(UNKNOWN)
    for strange in (UNKNOWN, "", "i-1", "../../etc", "x" * 5000):
        assert backend.scaling.standing(strange) is None
    assert [each.id for each in backend.scaling.workers()] == [worker.id]
    backend.clear()
    assert backend.scaling.standing(worker.id) is None
    backend.scaling.terminate(worker.id)


@pytest.mark.needs("hooks")
def test_a_hook_that_nobody_completes_runs_out(backend: Backend) -> None:
    (worker,) = backend.launched()
    backend.scaling.terminate(worker.id)
    backend.advance(backend.heartbeat_s / 2)
    assert backend.scaling.standing(worker.id) is not None
    backend.advance(backend.heartbeat_s / 2)
    backend.await_end(worker.id)
    assert backend.messages(STATE_CHANGE)


@pytest.mark.needs("hooks", "heartbeats")
def test_heartbeats_hold_a_hook_up_to_its_limit(backend: Backend) -> None:
    (worker,) = backend.launched()
    backend.scaling.terminate(worker.id)
    hook = backend.hook(worker.id)
    begun, beats = time.monotonic(), 0
    while backend.scaling.standing(worker.id) and beats < 20:
        backend.scaling.heartbeat(hook)
        beats += 1
        backend.advance(backend.heartbeat_s / 2)
    held = time.monotonic() - begun
    assert backend.heartbeat_s * 1.5 < held < backend.hook_most_s + backend.heartbeat_s + 5


@pytest.mark.needs("hooks")
def test_forged_hooks_complete_nothing(backend: Backend) -> None:
    leaving, staying = backend.launched(2)
    backend.scaling.terminate(leaving.id)
    hook = backend.hook(leaving.id)
    for forged in (
        dataclasses.replace(hook, token="00000000-0000-0000-0000-000000000000"),
        dataclasses.replace(hook, instance_id=staying.id),
        dataclasses.replace(hook, instance_id=staying.id, token=""),
        dataclasses.replace(hook, group="another"),
        dataclasses.replace(hook, name="another"),
    ):
        backend.scaling.complete(forged)
        backend.scaling.heartbeat(forged)
    backend.advance(1.2)
    assert [worker.id for worker in backend.scaling.workers()] == [leaving.id, staying.id]


@pytest.mark.needs("hooks")
def test_a_hook_that_is_over_can_be_completed_and_beaten(backend: Backend) -> None:
    (worker,) = backend.launched()
    backend.scaling.terminate(worker.id)
    hook = backend.hook(worker.id)
    backend.scaling.complete(hook)
    backend.await_end(worker.id)
    backend.scaling.complete(hook)
    backend.scaling.heartbeat(hook)
    backend.scaling.complete(Hook("none", "none", "none", UNKNOWN))


def test_protection_is_kept(backend: Backend) -> None:
    instance_id = backend.unprotected()

    def protected() -> bool:
        worker = backend.scaling.standing(instance_id)
        assert worker is not None
        return worker.protected

    assert not protected()
    backend.scaling.protect(instance_id)
    assert protected()
    backend.scaling.protect(instance_id)
    with pytest.raises(CommandError):
        backend.scaling.protect(UNKNOWN)


@pytest.mark.needs("capacity")
def test_an_order_without_capacity_is_told_and_brings_nothing(backend: Backend) -> None:
    known = len(backend.scaling.failures())
    backend.run_dry(POOL, 60)
    with suppress(NoCapacity):  # a pool says so at once, or later
        backend.scaling.launch(1, POOL)
    failures = backend.until(backend.scaling.failures, lambda found: len(found) > known)
    assert failures[-1].pool == POOL and failures[-1].reason
    assert abs(failures[-1].at - time.time()) < 60
    assert failures == sorted(failures, key=lambda failure: failure.at)
    assert not backend.scaling.workers()
    backend.run_dry(POOL, 0)
    assert backend.launched()


def test_a_pool_that_nobody_knows_is_refused(backend: Backend) -> None:
    with pytest.raises(CommandError) as caught:
        backend.scaling.launch(1, "no-such-pool")
    assert not isinstance(caught.value, NoCapacity)
    assert not backend.scaling.workers()


def test_an_empty_queue_is_waited_for(backend: Backend) -> None:
    begun = time.monotonic()
    assert list(backend.scaling.receive(2)) == []
    assert 1.5 < time.monotonic() - begun < 6


def test_a_message_comes_whole_with_its_count(backend: Backend) -> None:
    body = 'no JSON {"ä": "\\u0000 ☃"} ' + "x" * 2000
    backend.put(body)
    (message,) = backend.scaling.receive(5)
    assert (message.body, message.receives) == (body, 1)


def test_a_message_comes_again_unless_it_is_acknowledged(backend: Backend) -> None:
    backend.put("again")
    (first,) = backend.scaling.receive(5)
    assert list(backend.scaling.receive(0)) == []
    backend.advance(backend.visibility_s)
    (second,) = backend.scaling.receive(5)
    assert (second.id, second.receives) == (first.id, 2)
    backend.scaling.acknowledge(second)
    backend.advance(backend.visibility_s)
    assert list(backend.scaling.receive(1)) == []
    backend.scaling.acknowledge(second)  # a second time is no error


def test_a_message_can_be_hidden_for_longer_and_for_less(backend: Backend) -> None:
    backend.put("later")
    (message,) = backend.scaling.receive(5)
    backend.scaling.hide(message, int(backend.visibility_s) + 3)
    backend.advance(backend.visibility_s + 0.5)
    assert list(backend.scaling.receive(0)) == []
    (again,) = backend.scaling.receive(5)
    backend.scaling.hide(again, 0)
    (third,) = backend.scaling.receive(1)
    assert third.receives == 3


def test_at_most_ten_messages_come_at_once(backend: Backend) -> None:
    for number in range(12):
        backend.put(str(number))
    first = list(backend.scaling.receive(2))
    rest = list(backend.scaling.receive(2))
    assert len(first) <= 10
    while len(rest) < 12 - len(first):
        rest += backend.scaling.receive(2)
    assert sorted(int(message.body) for message in first + rest) == list(range(12))


@pytest.mark.needs("dead letters")
def test_poison_goes_to_the_dead_letters(backend: Backend) -> None:
    backend.put("poison")
    receives = []
    for _ in range(5):
        (message,) = backend.scaling.receive(5)
        receives.append(message.receives)
        backend.scaling.hide(message, 0)
    assert receives == [1, 2, 3, 4, 5]
    assert list(backend.scaling.receive(1)) == []
    assert "poison" in backend.dead_letters()
