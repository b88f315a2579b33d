"""The fleet service's decisions over time: its queue, its hooks, and who has died."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from hubfleet.errors import UsageError
from hubfleet.fleet import faults
from hubfleet.fleet.scaling import Hook
from hubfleet.fleet.service import messages
from hubfleet.fleet.service.machines import Machine
from hubfleet.fleet.service.queue import DELIVERIES, Queue
from hubfleet.fleet.service.records import GroupState, Pulse, Record, Timings
from hubfleet.fleet.service_container import last_address

ID = "i-0123456789abcdef0"


@dataclass
class Clock:
    """A time that tests set."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> Queue:
    return Queue(tmp_path / "queue.json", 30, clock)


def machine(status: str) -> dict[str, Machine]:
    return {ID: Machine(ID, status, 900, "172.18.0.2")}


def test_a_delivered_message_is_invisible_for_its_time(queue: Queue, clock: Clock) -> None:
    queue.send("one")
    assert [message.receives for message in queue.receive()] == [1]
    clock.now += 29.9
    assert queue.receive() == []
    clock.now += 0.1
    assert [message.receives for message in queue.receive()] == [2]


def test_an_old_receipt_deletes_and_hides_nothing(queue: Queue, clock: Clock) -> None:
    queue.send("one")
    (first,) = queue.receive()
    clock.now += 30
    (second,) = queue.receive()
    queue.acknowledge(first.receipt)
    queue.hide(first.receipt, 1000)
    clock.now += 30
    (third,) = queue.receive()
    assert (third.id, third.receives) == (second.id, 3)


def test_a_message_that_nobody_deletes_ends_among_the_dead(queue: Queue, clock: Clock) -> None:
    queue.send("poison")
    queue.send("good")
    for _ in range(DELIVERIES):
        for message in queue.receive():
            if message.body == "good":
                queue.acknowledge(message.receipt)
        clock.now += 30
    assert queue.receive() == []
    assert [message.body for message in queue.dead()] == ["poison"]


def test_a_queue_is_read_back_as_it_was(queue: Queue, clock: Clock, tmp_path: Path) -> None:
    queue.send("one")
    (message,) = queue.receive()
    again = Queue(tmp_path / "queue.json", 30, clock)
    assert again.receive() == []
    again.acknowledge(message.receipt)
    clock.now += 60
    assert again.receive() == []


def test_a_hook_waits_for_heartbeats_up_to_its_limit() -> None:
    timings = Timings(heartbeat_s=60, hook_most_s=150)
    record = Record(launched_at=0, hook_most=1150.0)
    record.beat(1000, timings)
    assert (record.over(1059), bool(record.over(1060))) == ("", True)
    record.beat(1050, timings)
    assert record.over(1109) == ""
    record.beat(1100, timings)
    assert record.over(1149) == "" and record.over(1150)


def test_a_worker_that_ran_is_dead_soon_one_that_may_start_again_is_not() -> None:
    timings = Timings(gone_s=1, restart_s=30)
    ran, fresh = Pulse(timings), Pulse(timings)
    assert ran.dead(machine("running"), 100) == []
    assert ran.dead(machine("exited"), 101) == []
    assert ran.dead(machine("exited"), 102) == [ID]
    assert fresh.dead(machine("exited"), 100) == []
    assert fresh.dead(machine("exited"), 129) == []
    assert fresh.dead(machine("exited"), 130) == [ID]


def test_a_worker_that_starts_again_or_is_paused_has_not_died() -> None:
    pulse = Pulse(Timings(gone_s=1))
    for second, status in enumerate(("running", "exited", "restarting", "exited", "paused")):
        assert pulse.dead(machine(status), second) == []


def test_a_container_that_never_started_is_dead_after_a_minute() -> None:
    pulse = Pulse(Timings())
    assert pulse.dead(machine("created"), 0) == []
    assert pulse.dead(machine("created"), 59) == []
    assert pulse.dead(machine("created"), 60) == [ID]


def test_failures_are_told_for_an_hour() -> None:
    state = GroupState()
    state.fail("spot", 1000, "none left")
    state.fail("spot", 4000, "none left")
    assert [failure.at for failure in state.recent(4600)] == [4000]


def test_messages_name_the_instance_where_aws_does() -> None:
    hook = Hook("hubfleet-local", "hubfleet-terminating", "t", ID)
    found = [json.loads(text) for text in (messages.lifecycle(hook, 0), messages.rebalance(ID, 0))]
    assert found[0]["detail"]["EC2InstanceId"] == found[1]["detail"]["instance-id"] == ID
    assert found[0]["time"] == "1970-01-01T00:00:00Z"
    assert found[0]["id"] != found[1]["id"]


def test_the_service_has_the_last_address() -> None:
    assert last_address("172.18.0.0/16") == "172.18.255.254"


def test_faults_need_what_they_are_about() -> None:
    assert faults.fault("kill", ID, "", 0, 0, "").ends
    assert not faults.fault("spot", ID, "", 0, 0, "").ends
    for kind, hint in (("spott", "did you mean 'spot'"), ("kill", "worker"), ("message", "body")):
        with pytest.raises(UsageError, match=hint):
            faults.fault(kind, "", "", 0, 0, "")
