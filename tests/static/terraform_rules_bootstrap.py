"""What terraform/bootstrap must keep to: who may take which role, and what each may do.

Each rule returns what breaks it, in words.
"""

import re
from collections.abc import Iterator

from tests.static import terraform_rules as rules
from tests.static.hcl import Body, Stack, nested
from tests.static.terraform_rules import Rule
from tests.static.terraform_rules_data import nothing_is_fixed

SUBJECTS = {
    "${name}-plan": "repo:${var.repository}:pull_request",
    "${name}-apply": "repo:${var.repository}:environment:${name}",
    "${name}-bake": "repo:${var.repository}:environment:${name}",
}

LOOKS = re.compile(r"(Describe|Get|List|View)")

OURS, IF_EXISTS = ["${each.key}"], "StringEqualsIfExists"

UNTAGGED = re.compile(r":(security-group|image|snapshot)/\*$")
"""What is tagged only once it is there: a network's own group, what Packer has made."""

GIVEN_MORE = re.compile(r"-(apply|bake)\"\]|aws_iam_role\.builder\[")
"""Roles that are given other policies than that for looking, as they are written."""

SECRETS = {"ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"}

GIVES_POWERS = {"iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"}

NEVER = {
    "iam:AttachRolePolicy",
    "iam:CreateAccessKey",
    "iam:CreatePolicy",
    "iam:CreatePolicyVersion",
    "iam:CreateUser",
    "iam:DeleteRolePermissionsBoundary",
}
"""Ways around the bounds."""


def roles_are_taken_by_one_repository(stack: Stack) -> Iterator[str]:
    (subjects,) = (b.body["subjects"] for b in stack.of("locals") if "subjects" in b.body)
    found = dict(re.findall(r'"(\$\{name\}-\w+)"\s*[=:]\s*"([^"]+)"', subjects))
    if found != SUBJECTS:
        yield f"subjects are {found}"
    conditions = {
        each["variable"]: (each["test"], each["values"])
        for statement in stack.policy("trust")
        for each in statement.get("condition", [])
    }
    wanted = {
        "${local.issuer}:aud": ("StringEquals", ["sts.amazonaws.com"]),
        "${local.issuer}:sub": ("StringEquals", ["${each.value}"]),
    }
    if conditions != wanted:
        yield f"the roles' trust has the conditions {conditions}"
    if stack.locals["issuer"] != "token.actions.githubusercontent.com":
        yield "tokens of somebody else are taken"
    for role in stack.resources("aws_iam_role"):
        if role.body.get("path") != "${local.path}":
            yield f"{role} is where the apply role may change it"
    if not stack.locals["path"].startswith("/hubfleet-ci/"):
        yield "the path is one that a stack's names begin with"


def plans_only_look(stack: Stack) -> Iterator[str]:
    for each in stack.policy("look"):
        for action in each["actions"]:
            if not LOOKS.match(action.partition(":")[2]):
                yield f"plan: {action} changes something"
            if action in SECRETS:
                yield f"plan: {action} reads secrets"
            if action == "s3:GetObject" and each["sid"] != "State":
                yield f"plan: {each['sid']} reads objects"
            if action == "s3:GetObject" and "*" in str(each["resources"]):
                yield "plan: reads other objects than the state"
    # What a plan gets besides would be another policy on the roles.
    attached = stack.resources("aws_iam_role_policy_attachment")
    for policy in [*stack.resources("aws_iam_role_policy"), *attached]:
        look = policy.body.get("policy_arn") == "${aws_iam_policy.look[each.key].arn}"
        if not look and not GIVEN_MORE.search(policy.body["role"]):
            yield f"{policy} may give plans more"


def new_roles_keep_their_bounds(stack: Stack) -> Iterator[str]:
    for name in ("change", "change_roles", "bake", "operate"):
        for each in stack.policy(name):
            actions = set(each["actions"])
            yield from (f"{name}: {action}" for action in sorted(actions & NEVER))
            bounds = _condition(each, "iam:PermissionsBoundary")
            if actions & GIVES_POWERS and bounds != ["${local.arns[each.key].boundary}"]:
                yield f"{name}: makes roles without bounds"
            if "iam:PassRole" in actions and not _condition(each, "iam:PassedToService"):
                yield f"{name}: hands roles to any service"
            if "iam:CreateServiceLinkedRole" in actions:
                if not _condition(each, "iam:AWSServiceName"):
                    yield f"{name}: makes roles for any service"
            elif any(a.startswith("iam:") for a in actions) and "*" in str(each["resources"]):
                yield f"{name}: {each['sid']} reaches all roles"


def what_is_removed_is_the_deployments(stack: Stack) -> Iterator[str]:
    removing = re.compile(r"(ec2|elasticfilesystem):(Delete|Terminate|Deregister|Stop|Release)")
    harmless = {"ec2:DeleteKeyPair", "ec2:DeleteSecurityGroup"}
    for name in ("change", "bake"):
        for each in stack.policy(name):
            found = [a for a in each["actions"] if removing.match(a)]
            if name == "bake":
                found = [action for action in found if action not in harmless]
            if found and _condition(each, "aws:ResourceTag/hubfleet.deployment") != ["${each.key}"]:
                yield f"{name}: {found[0]} of others' things"


def others_things_are_out_of_reach(stack: Stack) -> Iterator[str]:
    """A tag says whose a thing of EC2 or EFS is: no role may tag what is there and not its own."""
    for name in ("change", "bake"):
        for each in stack.policy(name):
            kinds = {action.partition(":")[0] for action in each["actions"]}
            if not kinds & {"ec2", "elasticfilesystem"} or all(map(_looks, each["actions"])):
                continue
            conditions = each.get("condition", [])
            tests = {c["variable"]: (c["test"], c["values"]) for c in conditions}
            created = [tests.get(f"{kind}:CreateAction") == ("Null", ["false"]) for kind in kinds]
            own = tests.get("aws:ResourceTag/hubfleet.deployment", ("", []))
            if not all(created) and own not in (("StringEquals", OURS), (IF_EXISTS, OURS)):
                yield f"{name}: {each['sid']} reaches what is another environment's"
            elif not all(created) and own[0] == IF_EXISTS and _tags_machines(each):
                yield f"{name}: {each['sid']} takes from others what has no tag"


def _looks(action: str) -> bool:
    return bool(LOOKS.match(action.partition(":")[2]))


def _tags_machines(statement: Body) -> bool:
    """Tell whether a statement tags more than what has its tags only once it is there."""
    if not {"ec2:CreateTags", "elasticfilesystem:TagResource"} & set(statement["actions"]):
        return False
    named = statement["resources"]
    return not isinstance(named, list) or not all(map(UNTAGGED.search, named))


def secrets_are_one_environments(stack: Stack) -> Iterator[str]:
    for name in ("change", "machines"):
        for each in stack.policy(name):
            reaches = [a for a in each["actions"] if a.startswith("ssm:") and "Parameter" in a]
            written = _resolved(stack, each)
            ours = written.count("${local.secrets[")
            if reaches and not ours == written.count(":parameter") > 0:
                yield f"{name}: {each['sid']} reaches secrets of others"


def tunnels_lead_to_the_chef_server(stack: Stack) -> Iterator[str]:
    """A tunnel, no shell; to one machine of the environment; ended by who has started it."""
    checked = "ssm:SessionDocumentAccessCheck"
    for name in ("look", "change", "change_roles", "bake", "operate"):
        for each in stack.policy(name):
            found = {(c["test"], c["variable"]): c["values"] for c in each.get("condition", [])}
            if "ssm:StartSession" in each["actions"]:
                # AWS looks at the document only where every statement asks for it.
                if found.get(("BoolIfExists", checked)) != ["true"]:
                    yield f"{name}: {each['sid']} starts sessions of any document"
                yield from (f"{name}: {each['sid']} {said}" for said in _reached(each))
            own = _condition(each, "ssm:resourceTag/aws:ssmmessages:session-id")
            ends = {"ssm:ResumeSession", "ssm:TerminateSession"} & set(each["actions"])
            if ends and own != ["&{aws:userid}"]:
                yield f"{name}: {each['sid']} ends others' sessions"


def _reached(statement: Body) -> Iterator[str]:
    """Say what else than a tunnel to the environment's Chef server a statement starts."""
    tags = {"hubfleet.deployment": ["${each.key}"], "hubfleet.role": ["chef_server"]}
    for resource in statement["resources"]:
        if resource.endswith(":instance/*"):
            for tag, wanted in tags.items():
                if _condition(statement, f"ssm:resourceTag/{tag}") != wanted:
                    yield f"reaches machines whatever their {tag}"
        elif not resource.endswith("::document/AWS-StartPortForwardingSession"):
            yield f"reaches {resource}"


def _condition(statement: Body, variable: str) -> list[str] | None:
    """Return the values that a statement demands of a variable; None where it demands none."""
    found = [c for c in statement.get("condition", []) if c["variable"] == variable]
    return list(found[0]["values"]) if found and found[0]["test"] == "StringEquals" else None


def _resolved(stack: Stack, statement: Body) -> str:
    """Return a statement's resources, those of local.arns as they are written there."""
    text = str(statement["resources"])
    for name in re.findall(r"local\.arns\[each\.key\]\.(\w+)", text):
        written = re.search(rf"^\s*{name}\s*= (.+)$", stack.texts["plan.tf"], re.MULTILINE)
        text += written[1] if written else ""
    return text


def state_is_the_environments_own(stack: Stack) -> Iterator[str]:
    for name, sids in {"look": ("State",), "change": ("State", "Lock")}.items():
        for each in stack.policy(name):
            if each["sid"] in sids:
                for resource in each["resources"]:
                    if "${var.state_bucket}/${each.key}" not in resource or "*" in resource:
                        yield f"{name}: {each['sid']} reaches {resource}"
    (backend,) = [b.body["backend"][0]["s3"] for b in stack.of("terraform") if "backend" in b.body]
    if nested({"backend": [backend]}, "backend") != {"encrypt": True, "use_lockfile": True}:
        yield "the state is not locked or not encrypted"


RULES: tuple[Rule, ...] = (
    rules.described,
    rules.pinned,
    rules.wildcards_have_reasons,
    rules.allowances_are_narrow,
    nothing_is_fixed,
    roles_are_taken_by_one_repository,
    plans_only_look,
    new_roles_keep_their_bounds,
    what_is_removed_is_the_deployments,
    others_things_are_out_of_reach,
    secrets_are_one_environments,
    tunnels_lead_to_the_chef_server,
    state_is_the_environments_own,
)
