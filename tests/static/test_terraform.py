"""terraform/ keeps its rules, and each rule notices when the setting that it guards is flipped."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hubfleet import settings
from hubfleet.fleet.aws_names import DEPLOYMENT_TAG, AwsNames
from tests.static import terraform_rules as rules
from tests.static import terraform_rules_data as data_rules
from tests.static.hcl import Stack, plain
from tests.static.terraform_flips import FLIPS
from tests.static.terraform_rules import Rule

CALL = re.compile(
    r'"((?:describe|set|terminate|complete|record|receive|delete|change|get)_[a-z_]+)"'
)
"""An operation of AWS, as boto3 names it."""

RULES = (*rules.RULES, *data_rules.RULES)


@pytest.fixture(scope="module")
def stack(root: Path) -> Stack:
    return Stack.read(root / "terraform")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_stack_keeps(stack: Stack, rule: Rule) -> None:
    assert list(rule(stack)) == []


@pytest.mark.parametrize("flip", range(len(FLIPS)), ids=lambda n: f"{FLIPS[n][0].__name__}-{n}")
def test_a_flipped_setting_is_noticed(stack: Stack, flip: int) -> None:
    rule, file, old, new = FLIPS[flip]
    assert list(rule(stack.changed(file, old, new))) != []


def test_every_rule_has_been_seen_to_fail() -> None:
    assert {rule for rule, *_ in FLIPS} == set(RULES)


def test_strings_and_expressions_are_told_apart() -> None:
    block = Stack(
        {"x.tf": 'locals {\n  a = "t"\n  b = local.a\n  c = "say \\"x\\""\n  d = [1]\n}\n'}
    )
    assert block.locals == {"a": "t", "b": "${local.a}", "c": 'say "x"', "d": [1]}
    assert plain({"__comments__": [], '"k"': True}) == {"k": True}


def test_what_the_stack_reads_of_the_environments_exists(root: Path, stack: Stack) -> None:
    tree = settings.load("production").model_dump()
    trees: dict[str, Any] = {"aws": tree["fleet"]["aws"], "workers": tree["fleet"]["workers"]}
    used = {
        (name, path)
        for text in stack.texts.values()
        for name, path in re.findall(r"\blocal\.(aws|workers)\.([a-z_]+(?:\.[a-z_]+)*)", text)
    }
    assert len(used) > 15
    assert [path for name, path in sorted(used) if not _there(trees[name], path)] == []
    read = re.findall(r"\blocal\.group\.([a-z_.]+)", "".join(stack.texts.values()))
    assert read
    assert [path for path in read if not _there(tree, path)] == []


def test_a_setting_that_nobody_has_is_noticed() -> None:
    assert not _there({"spot": {"base": 1}}, "spot.bases")


def test_the_group_and_the_queue_are_where_the_controller_looks(stack: Stack) -> None:
    names = AwsNames("${var.environment}")
    assert stack.locals["name"] == names.stack
    written = stack.locals["group_name"], stack.one("aws_sqs_queue", "events").body["name"]
    assert [name.replace("${local.name}", names.stack) for name in written] == [
        names.group("default"),
        names.queue,
    ]
    assert DEPLOYMENT_TAG in stack.locals["tags"]


def test_the_controller_is_allowed_what_it_calls_and_nothing_else(root: Path, stack: Stack) -> None:
    text = "".join(path.read_text() for path in root.glob("hubfleet/fleet/scaling_aws*.py"))
    called = {name.title().replace("_", "") for name in CALL.findall(text)}
    allowed = [action for each in stack.policy("controller") for action in each["actions"]]
    assert {action.partition(":")[2] for action in allowed} == called


def test_user_data_holds_what_the_seed_reads_and_no_secret(root: Path, stack: Stack) -> None:
    template = (root / "terraform/templates/user-data.sh.tftpl").read_text()
    assert re.findall(r"\$\{(.+?)\}", template) == ["jsonencode(facts)"]
    facts = stack.locals["machine_facts"]
    seed = (root / "images/node/hubfleet-seed-aws").read_text()
    read = re.findall(r"(?:fact|has) \.([a-z_]+)", seed)
    assert len(set(read)) > 8
    assert [name for name in sorted(set(read)) if f"{name} = " not in facts] == []
    assert set(stack.locals["parameters"][2:].split('"')) >= {"ca_crt", "key"}


def test_each_environment_of_aws_has_its_own_network_and_names(root: Path) -> None:
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted((root / "environments").glob("*.json")):
        group = json.loads(path.read_text())["default_attributes"]
        if group["fleet"]["backend"] == "aws":
            found[path.stem] = group
    assert len(found) > 1
    for values in (
        [group["fleet"]["aws"]["network"]["cidr"] for group in found.values()],
        [group["fleet"]["aws"]["host"] for group in found.values()],
        [group["secrets"]["path"] for group in found.values()],
    ):
        assert len(set(values)) == len(found)


def _there(tree: Any, path: str) -> bool:
    for key in path.split("."):
        if not isinstance(tree, dict) or key not in tree:
            return False
        tree = tree[key]
    return True
