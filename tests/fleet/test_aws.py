"""What the AWS fleet does in an account, beyond the contract of all fleets."""

import dataclasses
import re
import time
from pathlib import Path

import pytest

from hubfleet.clients.aws_fleet import SERVICES, AwsFleet
from hubfleet.errors import CommandError
from hubfleet.fleet.aws_names import DEPLOYMENT_TAG, AwsNames
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import ScalingFleet
from hubfleet.fleet.scaling_aws import AwsScaling
from hubfleet.fleet.scaling_of import scaling_fleet
from hubfleet.settings import ROOT, load
from tests.fleet.aws import FOREIGN, NAMES, REGION, AwsBackend
from tests.fleet.backend import POOL

MANY = 130


def desired(aws: AwsBackend, name: str = "") -> int:
    """Return the desired capacity of a group."""
    return int(aws.group(name)["DesiredCapacity"])


def staying(fleet: ScalingFleet) -> list[str]:
    """Return the workers that do not leave."""
    return [worker.id for worker in fleet.workers() if not worker.leaving]


def test_an_environment_on_aws_has_this_fleet(aws: AwsBackend, tmp_path: Path) -> None:
    fleet = scaling_fleet(NAMES.environment, load(NAMES.environment), tmp_path, tmp_path / "ca")
    assert isinstance(fleet, AwsScaling)
    aws.launched()
    assert len(fleet.workers()) == 1


def test_an_end_shrinks_the_group_and_nothing_replaces_the_worker(aws: AwsBackend) -> None:
    first, second = aws.launched(2)
    for _ in range(2):
        aws.scaling.terminate(first.id)
        assert staying(aws.scaling) == [second.id]
        assert desired(aws) == 1
    aws.scaling.complete(aws.hook(first.id))
    assert [worker.id for worker in aws.scaling.workers()] == [second.id]
    assert desired(aws) == 1


def test_only_workers_of_this_deployment_are_touched(aws: AwsBackend) -> None:
    (ours,) = aws.launched()
    foreign = aws.foreign()
    assert [worker.id for worker in aws.scaling.workers()] == [ours.id]
    assert aws.scaling.standing(foreign) is None
    aws.scaling.terminate(foreign)
    with pytest.raises(CommandError, match="no worker"):
        aws.scaling.protect(foreign)
    assert [each["InstanceId"] for each in aws.group(FOREIGN)["Instances"]] == [foreign]
    states = aws.ec2.describe_instances(InstanceIds=[foreign])["Reservations"][0]["Instances"]
    assert states[0]["State"]["Name"] == "running"


def test_a_machine_in_the_group_without_our_tag_is_none_of_ours(aws: AwsBackend) -> None:
    stranger, ours = aws.launched(2)
    for tags in ([{"Key": DEPLOYMENT_TAG, "Value": "another"}], []):
        aws.ec2.delete_tags(Resources=[stranger.id], Tags=[{"Key": DEPLOYMENT_TAG}])
        if tags:
            aws.ec2.create_tags(Resources=[stranger.id], Tags=tags)
        assert [worker.id for worker in aws.scaling.workers()] == [ours.id]
        assert aws.scaling.standing(stranger.id) is None
        aws.scaling.terminate(stranger.id)
        assert len(aws.group()["Instances"]) == 2


def test_a_group_of_another_deployment_is_refused(aws: AwsBackend) -> None:
    aws.launched()
    key = {"ResourceId": NAMES.group(POOL), "ResourceType": "auto-scaling-group"}
    tag = {**key, "Key": DEPLOYMENT_TAG, "PropagateAtLaunch": True}
    aws.autoscaling.create_or_update_tags(Tags=[{**tag, "Value": "another"}])
    try:
        with pytest.raises(CommandError, match=f"no tag {DEPLOYMENT_TAG}=staging"):
            aws.scaling.workers()
        with pytest.raises(CommandError, match="no tag"):
            aws.scaling.launch(1, POOL)
        assert desired(aws) == 1
    finally:
        aws.autoscaling.create_or_update_tags(Tags=[{**tag, "Value": NAMES.environment}])


def test_never_more_than_the_group_allows(aws: AwsBackend) -> None:
    aws.launched(2)
    with pytest.raises(CommandError, match=f"exceed {aws.most}"):
        aws.scaling.launch(aws.most - 1, POOL)
    assert desired(aws) == 2
    with pytest.raises(CommandError, match="0 workers"):
        aws.scaling.launch(0, POOL)
    aws.launched(aws.most - 2)
    with pytest.raises(CommandError, match=f"exceed {aws.most}"):
        aws.scaling.launch(1, POOL)
    assert len(aws.scaling.workers()) == aws.most


def test_two_orders_without_a_look_between_add_up(aws: AwsBackend) -> None:
    aws.scaling.launch(1, POOL)
    aws.scaling.launch(2, POOL)
    assert len(aws.scaling.workers()) == 3


def test_an_end_between_look_and_order_counts(aws: AwsBackend) -> None:
    first, _ = aws.launched(2)
    aws.scaling.workers()
    aws.scaling.terminate(first.id)
    aws.scaling.launch(1, POOL)
    assert len(staying(aws.scaling)) == 2


def test_a_suspended_group_says_how_to_resume(aws: AwsBackend) -> None:
    asked = {"AutoScalingGroupName": NAMES.group(POOL), "ScalingProcesses": ["Launch"]}
    aws.autoscaling.suspend_processes(**asked)
    try:
        with pytest.raises(CommandError, match="suspended") as caught:
            aws.scaling.launch(1, POOL)
        assert "resume-processes" in caught.value.hint
    finally:
        aws.autoscaling.resume_processes(**asked)
    assert aws.launched()


def test_stopped_machines_are_no_running_ones(aws: AwsBackend) -> None:
    (worker,) = aws.launched()
    aws.ec2.stop_instances(InstanceIds=[worker.id])
    found = aws.scaling.standing(worker.id)
    assert found is not None and found.state is State.STOPPED


def test_when_old_workers_began_to_run_is_not_known(aws: AwsBackend) -> None:
    (worker,) = aws.launched()
    time.sleep(2.1)
    (found,) = aws.renew().workers()
    assert found == dataclasses.replace(worker, running_at=None)


def test_what_could_not_be_filled_is_ordered_once(aws: AwsBackend) -> None:
    aws.run_dry(POOL, 60)
    for _ in range(3):
        assert not aws.scaling.workers()
        aws.scaling.launch(2, POOL)
    assert desired(aws) == 2
    # Fewer are wanted by now: the group tries for no more than that.
    aws.scaling.workers()
    aws.scaling.launch(1, POOL)
    assert desired(aws) == 1
    assert {failure.pool for failure in aws.scaling.failures()} == {POOL}
    aws.run_dry(POOL, 0)
    assert len(aws.scaling.workers()) == 1


def test_each_pool_is_a_group(aws: AwsBackend) -> None:
    spare = NAMES.group("spare")
    aws.make_group(spare, NAMES.environment, 3)
    try:
        fleet = aws.renew(POOL, "spare")
        fleet.launch(1, POOL)
        fleet.launch(2, "spare")
        assert sorted(worker.pool for worker in fleet.workers()) == [POOL, "spare", "spare"]
        assert (desired(aws), desired(aws, spare)) == (1, 2)
        worker = next(w for w in fleet.workers() if w.pool == "spare")
        assert fleet.standing(worker.id) == worker
        fleet.terminate(worker.id)
        assert (desired(aws), desired(aws, spare)) == (1, 1)
    finally:
        aws.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=spare, ForceDelete=True)


def test_more_than_a_page_of_workers(aws: AwsBackend) -> None:
    large = AwsNames("large")
    aws.make_group(large.group(POOL), large.environment, MANY)
    try:
        fleet = AwsScaling(AwsFleet(REGION), large, [POOL])
        fleet.launch(MANY, POOL)
        found = fleet.workers()
        assert len({worker.id for worker in found}) == MANY
        assert all(worker.address for worker in found)
        fleet.terminate(found[-1].id)
        assert set(staying(fleet)) == {worker.id for worker in found[:-1]}
    finally:
        name = large.group(POOL)
        aws.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)


@pytest.mark.parametrize("names", [AwsNames("nowhere")])
def test_what_is_not_there_is_said_with_the_command_that_makes_it(
    aws: AwsBackend, names: AwsNames
) -> None:
    fleet = AwsScaling(AwsFleet(REGION), names, [POOL])
    for attempt in (fleet.workers, lambda: fleet.launch(1, POOL), lambda: fleet.receive(0)):
        with pytest.raises(CommandError, match=f"no .* in {REGION}") as caught:
            attempt()
        assert "deploy --env nowhere" in caught.value.hint


def test_another_region_has_no_such_group(aws: AwsBackend) -> None:
    aws.launched()
    with pytest.raises(CommandError, match="no Auto Scaling group .* in eu-west-1") as caught:
        AwsScaling(AwsFleet("eu-west-1"), NAMES, [POOL]).workers()
    assert "fleet.aws.region" in caught.value.hint


def test_the_image_has_the_models_that_are_called() -> None:
    kept = re.findall(r"! -name (\w+)", (ROOT / "images/hub/Dockerfile").read_text())
    assert sorted(kept) == sorted(SERVICES)
