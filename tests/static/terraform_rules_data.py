"""What terraform/ must keep to, whoever changes it: students' data, messages, workers, images.

Each rule returns what breaks it, in words.
"""

import re
from collections.abc import Iterator

from tests.static.hcl import Body, Stack, nested
from tests.static.terraform_rules import Rule

FIXED = {
    "a region": re.compile(r"\b(af|ap|ca|eu|il|me|mx|sa|us)(-gov)?-[a-z]+-\d\b"),
    "an account": re.compile(r"\b\d{12}\b"),
    "an address": re.compile(r"\b(?!0\.0\.0\.0/0)\d{1,3}(\.\d{1,3}){3}\b"),
    "an AMI": re.compile(r"\bami-(?!0123456789abcdef0)[0-9a-f]{8,}\b"),
}

TLS = [{"test": "Bool", "variable": "aws:SecureTransport", "values": ["false"]}]


def encrypted(stack: Stack) -> Iterator[str]:
    for block in [*stack.resources("aws_ebs_volume"), *stack.resources("aws_efs_file_system")]:
        if block.body.get("encrypted") is not True:
            yield f"{block} is not encrypted"
    for template in stack.resources("aws_launch_template"):
        for mapping in template.body["block_device_mappings"]:
            if nested(mapping, "ebs").get("encrypted") is not True:
                yield f"{template}: a volume is not encrypted"
    for queue in stack.resources("aws_sqs_queue"):
        if queue.body.get("sqs_managed_sse_enabled") is not True:
            yield f"{queue} is not encrypted"
    for rule in stack.resources("aws_s3_bucket_server_side_encryption_configuration"):
        default = nested(rule.body, "rule", "apply_server_side_encryption_by_default")
        if default.get("sse_algorithm") not in {"AES256", "aws:kms"}:
            yield f"{rule}: not encrypted"


def buckets_are_private_and_keep_versions(stack: Stack) -> Iterator[str]:
    blocks = "block_public_acls block_public_policy ignore_public_acls restrict_public_buckets"
    closed = {
        b.body["bucket"]: b.body for b in stack.resources("aws_s3_bucket_public_access_block")
    }
    kept = {
        b.body["bucket"]: nested(b.body, "versioning_configuration").get("status")
        for b in stack.resources("aws_s3_bucket_versioning")
    }
    for bucket in stack.resources("aws_s3_bucket"):
        key = f"${{aws_s3_bucket.{bucket.labels[1]}.id}}"
        if not all(closed.get(key, {}).get(each) is True for each in blocks.split()):
            yield f"{bucket} may become public"
        if kept.get(key) != "Enabled":
            yield f"{bucket} keeps no versions"


def plain_transport_is_refused(stack: Stack) -> Iterator[str]:
    for name in ("homes", "events", "dead", "artifacts"):
        refusals = [
            each
            for each in stack.policy(name)
            if each.get("effect") == "Deny" and each.get("condition") == TLS
        ]
        if not any(_to_everybody(each) for each in refusals):
            yield f"policy {name} does not refuse connections without TLS"


def _to_everybody(statement: Body) -> bool:
    everything = any(action.endswith("*") for action in statement["actions"])
    return everything and any(p["identifiers"] == ["*"] for p in statement["principals"])


def homes_need_a_role_and_the_access_point(stack: Stack) -> Iterator[str]:
    (allowed,) = [each for each in stack.policy("homes") if each.get("effect") != "Deny"]
    condition = {
        "test": "StringEquals",
        "variable": "elasticfilesystem:AccessPointArn",
        "values": ["${aws_efs_access_point.homes.arn}"],
    }
    if allowed.get("condition") != [condition]:
        yield "homes can be mounted past the access point"
    if any(
        "aws_iam_role.machine[" not in i for p in allowed["principals"] for i in p["identifiers"]
    ):
        yield "homes can be mounted by others than our roles"
    if "ClientRootAccess" in str(stack.locals["home_powers"]["swarm_worker"]):
        yield "a worker is root in the homes"
    root = nested(stack.one("aws_efs_access_point", "homes").body, "root_directory")
    if root.get("path") in (None, "/") or nested(root, "creation_info").get("owner_uid") != 0:
        yield "the access point shows the whole file system, or its root is anybody's"
    policy = stack.one("aws_efs_file_system_policy", "homes").body["policy"]
    if policy != "${data.aws_iam_policy_document.homes.json}":
        yield "the file system has another policy"


def homes_are_backed_up(stack: Stack) -> Iterator[str]:
    backup = stack.one("aws_efs_backup_policy", "homes")
    if nested(backup.body, "backup_policy").get("status") != "ENABLED":
        yield "homes are not backed up"


def only_our_rules_send(stack: Stack) -> Iterator[str]:
    allowed = [each for each in stack.policy("events") if each.get("effect") != "Deny"]
    rules = "${[for rule in aws_cloudwatch_event_rule.this : rule.arn]}"
    for each in allowed:
        if each["principals"] != [{"type": "Service", "identifiers": ["events.amazonaws.com"]}]:
            yield "others than EventBridge send to the queue"
        if each.get("condition") != [
            {"test": "ArnEquals", "variable": "aws:SourceArn", "values": rules}
        ]:
            yield "rules of others send to the queue"
    sources = {(each["source"], each["type"]) for each in stack.locals["events"].values()}
    wanted = {
        ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
        ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
        ("aws.ec2", "EC2 Instance State-change Notification"),
        ("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action"),
    }
    yield from (f"nobody is told of {kind}" for _, kind in sorted(wanted - sources))
    if "deadLetterTargetArn" not in stack.one("aws_sqs_queue", "events").body["redrive_policy"]:
        yield "messages that nobody can read are never put aside"


def workers_end_by_the_controller_only(stack: Stack) -> Iterator[str]:
    for group in stack.resources("aws_autoscaling_group"):
        body = group.body
        hooks = {
            h["lifecycle_transition"].removeprefix("autoscaling:"): h
            for h in body["initial_lifecycle_hook"]
        }
        bought = nested(body, "mixed_instances_policy", "instances_distribution")
        wrong = {
            "may shrink by itself": body.get("protect_from_scale_in") is not True,
            "replaces machines with students": body.get("capacity_rebalance") is not False,
            "evens out zones": "AZRebalance" not in body.get("suspended_processes", []),
            "takes the cheapest pool": bought.get("spot_allocation_strategy")
            != "price-capacity-optimized",
            "counts machines that have not joined": hooks.get("EC2_INSTANCE_LAUNCHING", {}).get(
                "default_result"
            )
            != "ABANDON",
            "ends machines unasked": "EC2_INSTANCE_TERMINATING" not in hooks,
            "is set back by Terraform": "desired_capacity"
            not in nested(body, "lifecycle").get("ignore_changes", []),
        }
        yield from (f"{group}: {words}" for words, is_wrong in wrong.items() if is_wrong)


def images_are_fixed_and_scanned(stack: Stack) -> Iterator[str]:
    for repository in stack.resources("aws_ecr_repository"):
        if repository.body.get("image_tag_mutability") != "IMMUTABLE":
            yield f"{repository}: a tag may move"
        if nested(repository.body, "image_scanning_configuration").get("scan_on_push") is not True:
            yield f"{repository} is not scanned"


def logs_end(stack: Stack) -> Iterator[str]:
    for group in stack.resources("aws_cloudwatch_log_group"):
        if not group.body.get("retention_in_days"):
            yield f"{group} is kept for ever"


def no_secret_in_the_state(stack: Stack) -> Iterator[str]:
    makers = r"aws_(ssm_parameter|secretsmanager\w*|iam_access_key|key_pair)|random_\w+|tls_\w+"
    for block in [*stack.of("resource"), *stack.of("data")]:
        if re.fullmatch(makers, block.labels[0]):
            yield f"{block}: its value would be in the state"


def nothing_is_fixed(stack: Stack) -> Iterator[str]:
    for file, text in stack.texts.items():
        for what, pattern in FIXED.items():
            if found := pattern.search(text):
                yield f"{file}: {what}, {found[0]}, belongs into environments/"


RULES: tuple[Rule, ...] = (
    encrypted,
    buckets_are_private_and_keep_versions,
    plain_transport_is_refused,
    homes_need_a_role_and_the_access_point,
    homes_are_backed_up,
    only_our_rules_send,
    workers_end_by_the_controller_only,
    images_are_fixed_and_scanned,
    logs_end,
    no_secret_in_the_state,
    nothing_is_fixed,
)
