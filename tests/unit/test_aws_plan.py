"""What a plan says of changes, and what it says it does not know."""

import json
from pathlib import Path

import pytest

from hubfleet.aws import changes, costs, plan, preview, prices
from hubfleet.doctor import Check, Verdict
from hubfleet.errors import CommandError, UsageError
from hubfleet.settings import load


def planned(*actions: str) -> dict[str, object]:
    return {"address": "-".join(actions), "change": {"actions": list(actions)}}


def test_only_what_changes_is_a_change_and_losses_come_first() -> None:
    kinds = (("create",), ("no-op",), ("read",), ("update",), ("delete", "create"), ("delete",))
    found = changes.changes({"resource_changes": [planned(*kind) for kind in kinds]})
    assert [line.split() for line in changes.as_lines(found)] == [
        ["remove", "delete"],
        ["replace", "delete-create"],
        ["change", "update"],
        ["make", "create"],
    ]
    assert changes.as_lines(changes.changes({})) == ["nothing: the stack is as it should be"]


def test_each_check_of_the_account_that_is_not_well_is_said() -> None:
    found = [
        Check("packer", Verdict.WARN, "not installed", "install it"),
        Check("account", Verdict.OK, "there"),
        Check("zone", Verdict.FAIL, "no zone", "make one"),
        Check("quotas", Verdict.WARN, "not checked"),
    ]
    assert plan.unchecked(found) == ["zone: no zone (make one)", "quotas: not checked"]


def test_an_environment_on_this_machine_has_no_plan() -> None:
    with pytest.raises(UsageError, match=r"fleet\.backend is local"):
        plan.on_aws("local")
    assert plan.on_aws("staging") == load("staging")


def test_images_of_the_manifest_are_variables_and_those_of_others_are_not(tmp_path: Path) -> None:
    region = load("staging").fleet.aws.region
    builds = [
        {
            "artifact_id": f"{region}:ami-{number}",
            "custom_data": {"image": "node", "environment": environment},
        }
        for number, environment in enumerate(["staging", "staging", "production"])
    ]
    (tmp_path / "packer").mkdir()
    (tmp_path / "packer" / "manifest.json").write_text(json.dumps({"builds": builds}))
    found = plan.variables("staging", load("staging"), tmp_path)
    assert found["images"] == {"node": "ami-1"}
    assert found["fleet"]["workers"]["max"] == 2


def test_what_the_stack_says_of_an_environment_is_the_error() -> None:
    said = {"severity": "error", "summary": "Invalid value", "detail": "No such file.\nmore"}
    lines = ["no json", json.dumps({"type": "diagnostic", "diagnostic": said})]
    with pytest.raises(CommandError, match="'x': Invalid value: No such file") as error:
        preview.parsed("\n".join(lines), "x")
    assert "\n" not in error.value.message
    assert "more" in error.value.output


ACCOUNT = "123456789012"


def told(said: str) -> plan.Plan:
    """Return a plan in which every part that AWS has a word in says `said`."""
    settings = load("staging")
    known = prices.read(prices.newest(), settings.fleet.aws.region)
    use = costs.Scenario(students=12, student_hours=1.0, node_hours=1.0)
    return plan.Plan(
        environment="staging",
        variables={"permissions_boundary": said, "images": {"node": said}},
        rendered=preview.Rendered({"hub": said}, {"registry": said}),
        prices=known,
        scenario=use,
        estimate=costs.estimate(settings, known, use),
        checks=[Check("account", Verdict.OK, said, said)],
        changes=[changes.Change("make", said)],
        unchecked=[said],
    )


@pytest.mark.parametrize(
    "said",
    [
        f"{ACCOUNT}, as arn:aws:sts::{ACCOUNT}:assumed-role/x/y",
        f"hubfleet-state-{ACCOUNT}-region",
        f"{ACCOUNT}.dkr.ecr.region.amazonaws.com/hubfleet-staging",
    ],
)
def test_a_plan_names_no_account(said: str) -> None:
    found = told(said)
    for text in (plan.as_text(found), json.dumps(plan.as_json(found))):
        assert ACCOUNT not in text
        assert text.count("********9012") >= 6


def test_what_is_no_account_stays() -> None:
    for text in ("ami-0123456789012", "1234567890123", "12345678901", "a123456789012"):
        assert plan.as_json(told(text))["unchecked"] == [text]
