"""terraform/bootstrap keeps its rules; each notices when the setting that it guards is flipped."""

from pathlib import Path

import pytest

from tests.static import terraform_rules as rules
from tests.static import terraform_rules_bootstrap as bootstrap
from tests.static.hcl import Stack
from tests.static.terraform_rules import Rule
from tests.static.terraform_rules_data import nothing_is_fixed

OTHERS = bootstrap.others_things_are_out_of_reach

TUNNELS = bootstrap.tunnels_lead_to_the_chef_server

SUB = "values   = [each.value]"

FLIPS: tuple[tuple[Rule, str, str, str], ...] = (
    (rules.described, "variables.tf", "  type        = set(string)\n", ""),
    (rules.pinned, "versions.tf", "~> 5.73", ">= 5.73"),
    (rules.wildcards_have_reasons, "bake.tf", "    # reason: Describe", "    # Describe"),
    (rules.allowances_are_narrow, "apply.tf", '"ecr:PutImage",', '"ecr:*",'),
    (rules.allowances_are_narrow, "apply.tf", "[local.arns[each.key].queues]", '["*"]'),
    (
        rules.allowances_are_narrow,
        "plan.tf",
        "aws_iam_policy.look[each.key].arn",
        '"arn:aws:iam::aws:policy/ReadOnlyAccess"',
    ),
    (nothing_is_fixed, "plan.tf", "${aws.region}:${local.account}:repository", "x:210987654321:r"),
    (bootstrap.roles_are_taken_by_one_repository, "github.tf", ":pull_request", ":*"),
    (bootstrap.roles_are_taken_by_one_repository, "github.tf", ":environment:${name}", ":ref:refs"),
    (bootstrap.roles_are_taken_by_one_repository, "github.tf", '"StringEquals"', '"StringLike"'),
    (bootstrap.roles_are_taken_by_one_repository, "github.tf", SUB, 'values = ["repo:x"]'),
    (bootstrap.roles_are_taken_by_one_repository, "github.tf", ":aud", ":azp"),
    (bootstrap.roles_are_taken_by_one_repository, "github.tf", '"token.actions', '"tokens.actions'),
    (bootstrap.roles_are_taken_by_one_repository, "github.tf", "= local.path", '= "/"'),
    (bootstrap.roles_are_taken_by_one_repository, "locals.tf", '"/hubfleet-ci/"', '"/"'),
    (bootstrap.plans_only_look, "plan.tf", '"sqs:GetQueueUrl"', '"sqs:DeleteQueue"'),
    (bootstrap.plans_only_look, "plan.tf", '"sqs:GetQueueUrl"', '"ssm:GetParameter"'),
    (bootstrap.plans_only_look, "plan.tf", '"sqs:GetQueueUrl"', '"s3:GetObject"'),
    (bootstrap.plans_only_look, "plan.tf", "${var.state_bucket}/${each.key}", "*"),
    (bootstrap.plans_only_look, "plan.tf", "aws_iam_policy.look[each.key].arn", '"x"'),
    (bootstrap.plans_only_look, "bake.tf", "${each.key}-bake", "${each.key}-plan"),
    (bootstrap.new_roles_keep_their_bounds, "apply.tf", "iam:PermissionsBoundary", "aws:Tag"),
    (bootstrap.new_roles_keep_their_bounds, "apply.tf", "iam:PassedToService", "aws:Tag"),
    (bootstrap.new_roles_keep_their_bounds, "apply.tf", "iam:AWSServiceName", "aws:Tag"),
    (bootstrap.new_roles_keep_their_bounds, "bake.tf", "iam:PassedToService", "aws:Tag"),
    (bootstrap.new_roles_keep_their_bounds, "apply.tf", '"iam:TagRole"', '"iam:AttachRolePolicy"'),
    (bootstrap.new_roles_keep_their_bounds, "apply.tf", "= local.arns[each.key].roles", '= ["*"]'),
    (
        bootstrap.what_is_removed_is_the_deployments,
        "apply.tf",
        "aws:ResourceTag/hubfleet.deployment",
        "aws:RequestedRegion",
    ),
    (
        bootstrap.what_is_removed_is_the_deployments,
        "bake.tf",
        "aws:ResourceTag/hubfleet.deployment",
        "aws:RequestedRegion",
    ),
    (OTHERS, "apply.tf", "StringEqualsIfExists", "StringLike"),
    (OTHERS, "apply.tf", '"ec2:RunInstances"', '"ec2:CreateTags"'),
    (OTHERS, "apply.tf", '"ec2:CreateAction"', '"aws:RequestedRegion"'),
    (OTHERS, "apply.tf", '"elasticfilesystem:CreateAction"', '"ec2:CreateAction"'),
    (OTHERS, "bake.tf", '"ec2:RunInstances"', '"ec2:CreateTags"'),
    (OTHERS, "bake.tf", "aws:ResourceTag/hubfleet.deployment", "aws:ResourceTag/Name"),
    (bootstrap.secrets_are_one_environments, "plan.tf", "${local.secrets[name]}", ""),
    (
        bootstrap.secrets_are_one_environments,
        "plan.tf",
        "${local.secrets[name]}${part}",
        "/x${part}",
    ),
    (bootstrap.secrets_are_one_environments, "machines.tf", "${local.secrets[each.key]}", ""),
    (bootstrap.plans_only_look, "bake.tf", '["${each.key}-apply"]', "[each.key]"),
    (TUNNELS, "operate.tf", '"BoolIfExists"', '"StringLike"'),
    (TUNNELS, "operate.tf", "ssm:resourceTag/hubfleet.deployment", "ssm:resourceTag/Name"),
    (TUNNELS, "operate.tf", '["chef_server"]', '["chef_server", "hub"]'),
    (TUNNELS, "operate.tf", "AWS-StartPortForwardingSession", "SSM-SessionManagerRunShell"),
    (TUNNELS, "operate.tf", "&{aws:userid}", "*"),
    (TUNNELS, "operate.tf", '"ecr:DescribeImages"', '"ssm:StartSession"'),
    (bootstrap.state_is_the_environments_own, "apply.tf", "/${each.key}.tflock", "/x.tflock"),
    (bootstrap.state_is_the_environments_own, "backend.tf", "use_lockfile = true", ""),
)


@pytest.fixture(scope="module")
def stack(root: Path) -> Stack:
    return Stack.read(root / "terraform" / "bootstrap")


@pytest.mark.parametrize("rule", bootstrap.RULES, ids=lambda rule: rule.__name__)
def test_the_roles_of_workflows_keep(stack: Stack, rule: Rule) -> None:
    assert list(rule(stack)) == []


@pytest.mark.parametrize("flip", range(len(FLIPS)), ids=lambda n: f"{FLIPS[n][0].__name__}-{n}")
def test_a_flipped_setting_is_noticed(stack: Stack, flip: int) -> None:
    rule, file, old, new = FLIPS[flip]
    assert list(rule(stack.changed(file, old, new))) != []


def test_every_rule_has_been_seen_to_fail() -> None:
    assert {rule for rule, *_ in FLIPS} == set(bootstrap.RULES)


def test_the_bounds_hold_all_that_machines_may(root: Path, stack: Stack) -> None:
    main = Stack.read(root / "terraform")
    powers = {
        action
        for name in ("common", "worker", "chef_server", "controller", "flow_log")
        for each in main.policy(name)
        for action in each["actions"]
    }
    powers |= {a for each in main.policy("engine") for a in each["actions"] if ":" in a}
    powers |= {action for group in main.locals["home_powers"].values() for action in group}
    bounds = {action for each in stack.policy("machines") for action in each["actions"]}
    assert {power for power in powers if not power.startswith("$")} == bounds


def test_every_role_of_the_stack_is_within_bounds(root: Path) -> None:
    for role in Stack.read(root / "terraform").resources("aws_iam_role"):
        assert "var.permissions_boundary" in role.body.get("permissions_boundary", ""), role
