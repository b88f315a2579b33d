"""What terraform/ must keep to, whoever changes it: its form, its doors and its powers.

Each rule returns what breaks it, in words.
"""

import re
from collections.abc import Callable, Iterator

from tests.static.hcl import Stack, nested

Rule = Callable[[Stack], Iterator[str]]

BETWEEN_MEMBERS = {2377, 7946, 4789}
"""Joining, gossip and VXLAN (Docker documentation, "Run Docker Engine in swarm mode")."""

MEMBERS = {"hub", "swarm_worker"}

WILDCARD = re.compile(r'"[^"]*\*[^"]*"')

WITHOUT_RESOURCES = {
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "route53:AssociateVPCWithHostedZone",
    "route53:CreateHostedZone",
    "route53:GetChange",
    "route53:ListHostedZones",
    "route53:ListHostedZonesByName",
    "servicediscovery:CreatePrivateDnsNamespace",
    "servicediscovery:GetOperation",
    "servicequotas:GetServiceQuota",
}
"""What AWS ties to no resource, or to one whose name nobody knows before it is made."""

EVERYBODY = re.compile(r'^\s*type\s*=\s*"\*"$')
"""Beside it stands `identifiers`, whose wildcard has the reason."""


def described(stack: Stack) -> Iterator[str]:
    for block in [*stack.of("variable"), *stack.of("output")]:
        needs = ["description"] + ["type", "validation"] * (block.kind == "variable")
        yield from (f"{block} has no {key}" for key in needs if not block.body.get(key))


def pinned(stack: Stack) -> Iterator[str]:
    merged = {key: value for block in stack.of("terraform") for key, value in block.body.items()}
    if not re.fullmatch(r">= 1\.1\d\.\d", merged.get("required_version", "")):
        yield "required_version is no version with locks in S3"
    for name, provider in nested(merged, "required_providers").items():
        if not provider.get("version", "").startswith("~> "):
            yield f"provider {name} has no upper bound"


def state_is_locked_and_encrypted(stack: Stack) -> Iterator[str]:
    (block,) = [b for b in stack.of("terraform") if "backend" in b.body]
    backend = block.body["backend"][0]["s3"]
    if backend != {"encrypt": True, "use_lockfile": True}:
        yield f"{block}: expected a locked, encrypted state in a bucket that init names"


def tagged(stack: Stack) -> Iterator[str]:
    (provider,) = stack.of("provider", "aws")
    if nested(provider.body, "default_tags").get("tags") != "${local.tags}":
        yield f"{provider} does not give local.tags to everything"
    if stack.locals["tags"].get("hubfleet.deployment") != "${var.environment}":
        yield "local.tags does not name the deployment"
    for template in stack.resources("aws_launch_template"):
        each = template.body["dynamic"][0]["tag_specifications"]
        kinds = set(re.findall(r'"(\w+)"', each["for_each"]))
        if kinds != {"instance", "volume"} or "local.tags" not in each["content"][0]["tags"]:
            yield f"{template}: machines and volumes do not get local.tags"
    for group in stack.resources("aws_autoscaling_group"):
        tag = group.body["dynamic"][0]["tag"]
        if "local.tags" not in tag["for_each"] or not tag["content"][0]["propagate_at_launch"]:
            yield f"{group}: its machines do not get local.tags"


def doors(stack: Stack) -> Iterator[str]:
    for name, door in {**stack.locals["doors"], **stack.locals["chef_doors"]}.items():
        sides, port = {door["from"], door["to"]}, door["port"]
        if door["from"] == "world" and (door["to"], port) not in {("hub", 80), ("hub", 443)}:
            yield f"door {name}: the world may use 80 and 443 of the hub only"
        if port in BETWEEN_MEMBERS and not sides <= MEMBERS:
            yield f"door {name}: {port} is for members of the Swarm"
        if port == 2049 and (door["to"] != "homes" or door["from"] not in MEMBERS):
            yield f"door {name}: 2049 is for the homes, from members of the Swarm"
        if door["to"] == "homes" and port != 2049:
            yield f"door {name}: the homes speak NFS only"
        if port == 22 or door["protocol"] not in {"tcp", "udp"}:
            yield f"door {name}: neither SSH nor all protocols"


def rules_come_from_doors(stack: Stack) -> Iterator[str]:
    for kind in ("aws_security_group_rule", "aws_network_acl"):
        yield from (f"{block}: doors are in local.doors" for block in stack.of("resource", kind))
    for group in stack.resources("aws_security_group"):
        yield from (f"{group} has its own {k}" for k in ("ingress", "egress") if k in group.body)
    for rule in stack.resources("aws_vpc_security_group_ingress_rule"):
        cidr = '${each.value.from == "world" ? "0.0.0.0/0" : null}'
        ports = {rule.body.get("from_port"), rule.body.get("to_port")}
        if rule.body.get("cidr_ipv4") != cidr or "cidr_ipv6" in rule.body:
            yield f"{rule}: open to more than its door says"
        if rule.body.get("for_each") != "${local.all_doors}" or ports != {"${each.value.port}"}:
            yield f"{rule}: not the port that its door says"
    for unused in stack.resources("aws_default_security_group"):
        if set(unused.body) != {"vpc_id", "tags"}:
            yield f"{unused} lets something through"


def no_public_worker(stack: Stack) -> Iterator[str]:
    for subnet in stack.resources("aws_subnet"):
        if subnet.body.get("map_public_ip_on_launch") is not False:
            yield f"{subnet} gives public addresses"
    for group in stack.resources("aws_autoscaling_group"):
        if "aws_subnet.private" not in group.body["vpc_zone_identifier"]:
            yield f"{group} is not in the private subnets"
    for file, text in stack.texts.items():
        if "associate_public_ip_address" in text:
            yield f"{file}: associate_public_ip_address"


def wildcards_have_reasons(stack: Stack) -> Iterator[str]:
    for file, text in stack.texts.items():
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if line.lstrip().startswith("#") or EVERYBODY.match(line) or not WILDCARD.search(line):
                continue
            if number == 0 or "# reason: " not in lines[number - 1]:
                yield f"{file}:{number + 1}: a wildcard without its reason above it"


def allowances_are_narrow(stack: Stack) -> Iterator[str]:
    for block in stack.of("data", "aws_iam_policy_document"):
        for each in stack.policy(block.labels[1]):
            if each.get("effect") == "Deny":
                continue
            if any("*" in action for action in each["actions"] if action[0] != "$"):
                yield f"{block}: allows actions that it does not name"
            if any("*" in p["identifiers"] for p in each.get("principals", [])):
                yield f"{block}: allows everybody"
            changes = [a for a in each["actions"] if not _only_looks(a)]
            if each.get("resources") == ["*"] and changes:
                yield f"{block}: {changes[0]} of everything"
    yield from _managed_policies(stack)


def _managed_policies(stack: Stack) -> Iterator[str]:
    for block in stack.of("resource", "aws_iam_role_policy_attachment"):
        if not block.body.get("policy_arn", "").startswith("${aws_iam_policy."):
            yield f"{block}: AWS's managed policies allow more than is needed"


def _only_looks(action: str) -> bool:
    """Tell an action that changes nothing of others'; Session Manager's are about the caller."""
    if action in WITHOUT_RESOURCES:
        return True
    name = action.partition(":")[2]
    own = action.startswith("ssmmessages:") or action == "ssm:UpdateInstanceInformation"
    return own or name.startswith("Describe") or action == "ecr:GetAuthorizationToken"


def metadata_needs_a_token_and_one_hop(stack: Stack) -> Iterator[str]:
    expected = {"http_tokens": "required", "http_put_response_hop_limit": 1}
    for template in stack.resources("aws_launch_template"):
        options = nested(template.body, "metadata_options")
        for key, value in {**expected, "instance_metadata_tags": "disabled"}.items():
            if options.get(key) != value:
                yield f"{template}: {key} is not {value}"
    for machine in stack.resources("aws_instance"):
        if "launch_template" not in machine.body or "metadata_options" in machine.body:
            yield f"{machine} is not as its launch template says"


RULES: tuple[Rule, ...] = (
    described,
    pinned,
    state_is_locked_and_encrypted,
    tagged,
    doors,
    rules_come_from_doors,
    no_public_worker,
    wildcards_have_reasons,
    allowances_are_narrow,
    metadata_needs_a_token_and_one_hop,
)
