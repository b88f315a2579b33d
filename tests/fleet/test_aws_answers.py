"""Answers of AWS that moto does not give, as AWS documents them: hooks, capacity, refusals."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from unittest import mock

import pytest

from hubfleet.clients.aws_fleet import SERVICES, AwsFleet, AwsRefusal
from hubfleet.errors import CommandError
from hubfleet.fleet.scaling import Failure, Hook, Message
from hubfleet.fleet.scaling_aws import BUSY_WAITS_S
from tests.fleet.aws import CREDENTIALS, NAMES, REGION
from tests.fleet.aws_answers import (
    AT,
    GROUP,
    ID,
    SPARE,
    Answers,
    activity,
    group,
    instance,
    machine,
)
from tests.fleet.backend import POOL

HOOK = Hook(GROUP, "emptied", "87654321-4321-4321-4321-210987654321", ID)
NO_ACTION = f"No active Lifecycle Action found with instance ID {ID}"
MESSAGE = Message("1", "receipt", "{}")
URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/hubfleet-staging-events"


@pytest.fixture(scope="module")
def aws_clients() -> AwsFleet:
    """Make boto3's clients once: that takes half a second for each."""
    fleet = AwsFleet(REGION)
    with mock.patch.dict("os.environ", CREDENTIALS):
        for service in SERVICES:
            fleet.client(service)
    return fleet


@pytest.fixture
def answers(aws_clients: AwsFleet) -> Iterator[Callable[..., Answers]]:
    """Make fleets, and see at the end that they have asked all that was expected."""
    made: list[Answers] = []

    def make(*pools: str) -> Answers:
        for stub in made[-1].stubs.values() if made else ():
            stub.deactivate()
        made.append(Answers(aws_clients, *pools))
        return made[-1]

    yield make
    for each in made:
        for stub in each.stubs.values():
            stub.deactivate()
            stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("act", "operation", "more"),
    [
        ("heartbeat", "record_lifecycle_action_heartbeat", {}),
        ("complete", "complete_lifecycle_action", {"LifecycleActionResult": "CONTINUE"}),
    ],
)
def test_hooks_are_beaten_and_completed(
    answers: Callable[..., Answers], act: str, operation: str, more: dict[str, str]
) -> None:
    aws = answers()
    expected = {
        "AutoScalingGroupName": GROUP,
        "LifecycleHookName": "emptied",
        "LifecycleActionToken": HOOK.token,
        "InstanceId": ID,
        **more,
    }
    aws.say(operation, {}, **expected)
    getattr(aws.fleet, act)(HOOK)
    # One that is over is no error; any other refusal is one.
    aws.refuse(operation, "ValidationError", NO_ACTION)
    getattr(aws.fleet, act)(HOOK)
    aws.refuse(operation, "AccessDenied", "no")
    with pytest.raises(CommandError, match="does not allow autoscaling:"):
        getattr(aws.fleet, act)(HOOK)
    # Of forged ones AWS hears nothing.
    for forged in (
        replace(HOOK, group="another"),
        replace(HOOK, instance_id="../x"),
    ):
        getattr(aws.fleet, act)(forged)


def test_a_group_that_is_busy_is_asked_again(answers: Callable[..., Answers]) -> None:
    aws, end = answers(), "terminate_instance_in_auto_scaling_group"
    aws.standing()
    aws.machines(machine())
    aws.refuse(end, "ScalingActivityInProgress", "busy")
    aws.refuse(end, "ResourceContention", "busy")
    aws.say(end, {}, InstanceId=ID, ShouldDecrementDesiredCapacity=True)
    aws.fleet.terminate(ID)
    assert aws.slept == list(BUSY_WAITS_S[:2])
    aws.standing()
    aws.machines(machine())
    for _ in range(len(BUSY_WAITS_S) + 1):
        aws.refuse(end, "ScalingActivityInProgress", "busy")
    with pytest.raises(AwsRefusal, match="busy"):
        aws.fleet.terminate(ID)


@pytest.mark.parametrize("lifecycle", ["Terminating", "Terminating:Wait", "Terminating:Proceed"])
def test_an_end_that_has_begun_is_not_begun_again(
    answers: Callable[..., Answers], lifecycle: str
) -> None:
    aws = answers()
    for _ in range(2):
        aws.standing(lifecycle)
        aws.machines(machine())
    found = aws.fleet.standing(ID)
    assert found is not None and found.leaving
    aws.fleet.terminate(ID)


def test_a_group_at_its_minimum_ends_a_worker_all_the_same(
    answers: Callable[..., Answers],
) -> None:
    aws, end = answers(), "terminate_instance_in_auto_scaling_group"
    aws.standing()
    aws.machines(machine())
    text = "Currently, desiredSize equals minSize (1). Terminating instance without replacement "
    text += "will violate group's min size constraint."
    aws.refuse(end, "ValidationError", text)
    aws.say(end, {}, InstanceId=ID, ShouldDecrementDesiredCapacity=False)
    aws.fleet.terminate(ID)


def test_a_worker_that_vanishes_while_it_is_ended_is_gone(
    answers: Callable[..., Answers],
) -> None:
    aws, end = answers(), "terminate_instance_in_auto_scaling_group"
    for still_there in (False, True):
        aws.standing()
        aws.machines(machine())
        aws.refuse(end, "ValidationError", "Instance Id not found")
        if not still_there:
            aws.gone()
            aws.fleet.terminate(ID)
            continue
        aws.standing()
        aws.machines(machine())
        with pytest.raises(AwsRefusal, match="not found"):
            aws.fleet.terminate(ID)


def test_what_the_fleet_is_about_to_end_leaves(answers: Callable[..., Answers]) -> None:
    aws = answers()
    for health, state, leaving in (
        ("HEALTHY", "running", False),
        ("UNHEALTHY", "running", True),
        ("HEALTHY", "shutting-down", True),
    ):
        aws.standing(health=health)
        aws.machines(machine(state=state))
        found = aws.fleet.standing(ID)
        assert found is not None and found.leaving is leaving
    aws.standing("Terminating:Proceed")
    aws.machines(machine(state="terminated"))
    assert aws.fleet.standing(ID) is None


def test_a_worker_that_ec2_does_not_list_yet_is_pending(answers: Callable[..., Answers]) -> None:
    aws = answers()
    aws.groups(group(1, instance(ID, "Pending")))
    aws.machines()
    (worker,) = aws.fleet.workers()
    assert (worker.state.value, worker.launched_at, worker.running_at) == ("pending", AT, None)
    aws.now += 20
    aws.groups(group(1, instance(ID, "Pending:Wait")))
    aws.machines(machine(age_s=-3))
    (worker,) = aws.fleet.workers()
    assert (worker.launched_at, worker.running_at) == (AT + 3, AT + 20)


def test_an_order_that_has_not_come_yet_is_not_ordered_twice(
    answers: Callable[..., Answers],
) -> None:
    aws = answers()
    aws.groups(group(0))  # the look
    assert list(aws.fleet.workers()) == []
    aws.groups(group(0))
    aws.say(
        "set_desired_capacity",
        {},
        AutoScalingGroupName=GROUP,
        DesiredCapacity=3,
        HonorCooldown=False,
    )
    aws.groups(group(3))
    aws.fleet.launch(3, POOL)
    # The next turn sees none of them and wants three again; then one has come, and it wants two.
    aws.groups(group(3))
    aws.fleet.workers()
    aws.groups(group(3))
    aws.fleet.launch(3, POOL)
    aws.groups(group(3, instance(ID, "Pending")))
    aws.machines(machine(state="pending"))
    aws.fleet.workers()
    aws.groups(group(3, instance(ID, "Pending")))
    aws.fleet.launch(2, POOL)


def test_an_order_never_shrinks_below_what_has_come(answers: Callable[..., Answers]) -> None:
    others = [instance(f"i-0000000{number}") for number in range(4)]
    for protected, desired in ((True, 5), (False, 8)):
        aws = answers()
        aws.groups(group(8))
        aws.fleet.workers()
        # Five have come since the look; three of the former eight were tried in vain.
        aws.groups(group(8, *others, instance(ID, protected=protected)))
        if desired != 8:
            aws.say(
                "set_desired_capacity",
                {},
                AutoScalingGroupName=GROUP,
                DesiredCapacity=desired,
                HonorCooldown=False,
            )
            aws.groups(group(desired))
        aws.fleet.launch(1, POOL)


def test_what_one_pool_tried_in_vain_another_gets(answers: Callable[..., Answers]) -> None:
    aws = answers(POOL, "spare")
    first, spare = group(4, instance(ID)), group(0, AutoScalingGroupName=SPARE)
    aws.groups(first, spare)
    aws.machines(machine())
    aws.fleet.workers()
    aws.groups(first, spare)
    aws.activities(activity("Failed", 20), activity("Successful", 600))
    lower = {"AutoScalingGroupName": GROUP, "DesiredCapacity": 1, "HonorCooldown": False}
    aws.say("set_desired_capacity", {}, **lower)
    aws.groups(group(1, instance(ID)), spare)
    higher = {"AutoScalingGroupName": SPARE, "DesiredCapacity": 3, "HonorCooldown": False}
    aws.say("set_desired_capacity", {}, **higher)
    aws.groups(group(1, instance(ID)), spare | {"DesiredCapacity": 3})
    aws.fleet.launch(3, "spare")


def test_what_is_on_its_way_in_another_pool_stays(answers: Callable[..., Answers]) -> None:
    aws = answers(POOL, "spare")
    spare = group(0, AutoScalingGroupName=SPARE)
    aws.groups(group(4), spare)
    aws.fleet.workers()
    aws.groups(group(4), spare)
    aws.activities(activity("InProgress", 20))
    aws.say("set_desired_capacity", {})
    aws.groups(group(4), spare | {"DesiredCapacity": 1})
    aws.fleet.launch(1, "spare")


def test_a_capacity_that_somebody_else_changes_is_told(answers: Callable[..., Answers]) -> None:
    aws = answers()
    aws.groups(group(2))
    aws.fleet.workers()
    aws.groups(group(2))
    aws.say("set_desired_capacity", {})
    for _ in range(3):
        aws.groups(group(9))
    with pytest.raises(CommandError, match="set to 1 workers and shows 9"):
        aws.fleet.launch(1, POOL)


def test_failures_are_the_launches_of_the_last_hour(answers: Callable[..., Answers]) -> None:
    aws = answers()
    few = "We currently do not have sufficient m7i.xlarge capacity in the Availability Zone"
    page = [
        activity("Successful", 10),
        activity("Failed", 60, text=f"{few}\n you requested."),
        activity("Failed", 90, what="Terminating EC2 instance: i-1"),
    ]
    first = {"AutoScalingGroupName": GROUP}
    aws.say("describe_scaling_activities", {"Activities": page, "NextToken": "n"}, **first)
    rest = [activity("Cancelled", 3500), activity("Failed", 3700), activity("Failed", 3800)]
    # The listing is left where it is older than an hour: no third page is asked for.
    aws.say(
        "describe_scaling_activities",
        {"Activities": rest, "NextToken": "m"},
        **first,
        NextToken="n",
    )
    assert list(aws.fleet.failures()) == [
        Failure(POOL, AT - 3498, "Launching a new EC2 instance"),
        Failure(POOL, AT - 58, f"{few} you requested."),
    ]


def test_groups_and_instances_are_read_to_the_last_page(answers: Callable[..., Answers]) -> None:
    aws = answers(POOL, "spare")
    ids = [f"i-{number:08x}" for number in range(150)]
    one = group(100, *(instance(i) for i in ids[:100]))
    two = group(50, *(instance(i) for i in ids[100:]), AutoScalingGroupName=SPARE)
    listing, asked = "describe_auto_scaling_groups", {"AutoScalingGroupNames": [GROUP, SPARE]}
    aws.say(listing, {"AutoScalingGroups": [one], "NextToken": "n"}, **asked)
    aws.say(listing, {"AutoScalingGroups": [two]}, **asked, NextToken="n")
    for some, token in ((ids[:60], "n"), (ids[60:100], ""), (ids[100:], "")):
        rows = {"Reservations": [{"Instances": [machine(i) for i in some]}]}
        aws.say("describe_instances", rows | ({"NextToken": token} if token else {}))
    assert len(aws.fleet.workers()) == 150


def test_a_delivery_that_is_over_is_no_error(answers: Callable[..., Answers]) -> None:
    aws = answers()
    aws.say("get_queue_url", {"QueueUrl": URL}, QueueName=NAMES.queue)
    aws.refuse("delete_message", "ReceiptHandleIsInvalid", QueueUrl=URL, ReceiptHandle="receipt")
    aws.fleet.acknowledge(MESSAGE)
    aws.refuse("change_message_visibility", "AWS.SimpleQueueService.MessageNotInflight")
    aws.fleet.hide(MESSAGE, 5)
    hidden = {"QueueUrl": URL, "ReceiptHandle": "receipt"}
    for asked, sent in ((99_999, 43_200), (-1, 0)):
        aws.say("change_message_visibility", {}, **hidden, VisibilityTimeout=sent)
        aws.fleet.hide(MESSAGE, asked)
    aws.refuse("delete_message", "AccessDenied", "no")
    with pytest.raises(CommandError, match="does not allow sqs:DeleteMessage"):
        aws.fleet.acknowledge(MESSAGE)
    aws.refuse("receive_message", "QueueDoesNotExist")
    with pytest.raises(CommandError, match="no queue hubfleet-staging-events"):
        aws.fleet.receive(0)


@pytest.mark.parametrize(
    ("code", "said", "hint"),
    [
        ("ExpiredToken", "have expired", "aws sso login"),
        ("RequestExpired", "have expired", "aws sso login"),
        ("InvalidClientTokenId", "does not know these credentials", "AWS_PROFILE"),
        ("AuthFailure", "does not know these credentials", "AWS_PROFILE"),
        ("AccessDenied", "does not allow autoscaling:Describe", "iam_controller.tf"),
        ("Client.UnauthorizedOperation", "does not allow", "autoscaling:DescribeAutoScalingGroups"),
        ("Throttling", "throttles", "wait"),
        ("RequestLimitExceeded", "throttles", "wait"),
        ("RequestTimeTooSkewed", "clock is wrong", "timedatectl"),
        ("OptInRequired", "no autoscaling in eu-central-1", "fleet.aws.region"),
        ("Strange", "refuses .*: words of AWS \\(Strange\\)", ""),
    ],
)
def test_refusals_are_one_sentence_and_the_next_step(
    answers: Callable[..., Answers], code: str, said: str, hint: str
) -> None:
    aws = answers()
    aws.refuse("describe_auto_scaling_groups", code, "words\n of AWS")
    with pytest.raises(CommandError, match=said) as caught:
        aws.fleet.workers()
    assert "\n" not in caught.value.message and hint in caught.value.hint
