"""What a deployment on AWS needs: tools here, and in the account a login, quotas, zone, images."""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from hubfleet import machine_images
from hubfleet.aws import states
from hubfleet.clients import infra_tools
from hubfleet.clients.aws import Aws
from hubfleet.doctor import Check, Verdict
from hubfleet.errors import HubfleetError, PreconditionError
from hubfleet.image_build import cache_dir
from hubfleet.settings import Settings
from hubfleet.state import ROOT

ON_DEMAND_QUOTA, SPOT_QUOTA = "L-1216C47A", "L-34B43A08"
"""vCPUs of standard instances (A, C, D, H, I, M, R, T, Z) in a region, by Service Quotas."""

OLDEST_TOFU = (1, 10)
"""The first version that locks a state in S3 with a file (terraform/versions.tf)."""

NEEDED_IMAGES = ("node", "chef_server")

GIVEN_IMAGES = "TF_VAR_images"
"""Variable of the shell that gives Terraform AMIs in place of the manifest's, as JSON."""

PLUGIN = "session-manager-plugin"


def examine(environment: str, settings: Settings, aws: Aws, root: Path = ROOT) -> list[Check]:
    """Run all checks; those of the account only where there is one."""
    found = [_tofu(root), _packer(root), _plugin()]
    account = _guarded("account", lambda: _account(aws))
    found.append(account)
    probes: dict[str, Callable[[], Check]] = {
        "region": lambda: _region(aws, settings),
        "quotas": lambda: _quotas(aws, settings),
        "zone": lambda: _zone(aws, settings),
        "machine images": lambda: _images(aws, environment, settings, root),
        "state": lambda: _state(aws),
    }
    for name, probe in probes.items():
        if account.verdict is Verdict.OK:
            found.append(_guarded(name, probe))
        else:
            found.append(Check(name, Verdict.WARN, "not checked, for want of an account"))
    return found


def _guarded(name: str, probe: Callable[[], Check]) -> Check:
    try:
        return probe()
    except HubfleetError as error:
        return Check(name, Verdict.FAIL, error.message, error.hint)


def _tofu(root: Path) -> Check:
    tool = infra_tools.find(infra_tools.TOFU, cache_dir(), root)
    if tool is None:
        detail = "neither tofu nor terraform is installed"
        return Check("tofu", Verdict.FAIL, detail, "install OpenTofu 1.10 or later")
    done = tool.run(["version", "-json"], cwd=root, check=False)
    try:
        version = str(json.loads(done.stdout)["terraform_version"])
        number = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
    except (ValueError, KeyError):
        return Check("tofu", Verdict.FAIL, f"{tool.path} tells no version", "install OpenTofu anew")
    if number < OLDEST_TOFU:
        fix = "install OpenTofu 1.10 or later"
        return Check("tofu", Verdict.FAIL, f"{version} cannot lock a state in S3", fix)
    return Check("tofu", Verdict.OK, version)


def _packer(root: Path) -> Check:
    tool = infra_tools.find(infra_tools.PACKER, cache_dir(), root)
    if tool is None:
        fix = "install Packer, where machine images are to be made here"
        return Check("packer", Verdict.WARN, "not installed", fix)
    said = tool.run(["version"], cwd=root, check=False).stdout.split()
    return Check("packer", Verdict.OK, next((word for word in said if word[:1] == "v"), "there"))


def _plugin() -> Check:
    if shutil.which(PLUGIN) is None:
        fix = f"install {PLUGIN}, as AWS's Systems Manager guide says: it leads to the Chef server"
        return Check(PLUGIN, Verdict.FAIL, "not installed", fix)
    return Check(PLUGIN, Verdict.OK, "there")


def _account(aws: Aws) -> Check:
    who = aws.identity()
    return Check("account", Verdict.OK, f"{who.account}, as {who.arn}")


def _region(aws: Aws, settings: Settings) -> Check:
    filters = [{"Name": "opt-in-status", "Values": ["opt-in-not-required"]}]
    with aws.refusals("the zones of the region cannot be told"):
        zones = aws.call("ec2", "describe_availability_zones", Filters=filters)
    count, wanted = len(zones["AvailabilityZones"]), settings.fleet.aws.network.zones
    if count < wanted:
        detail = f"{aws.region} has {count} availability zones, and {wanted} are wanted"
        return Check("region", Verdict.FAIL, detail, "lower fleet.aws.network.zones")
    return Check("region", Verdict.OK, f"{aws.region}, {count} availability zones")


def _quotas(aws: Aws, settings: Settings) -> Check:
    """Check the vCPUs of everything at its most against the region's quotas."""
    on_demand, spot = vcpus(aws, settings)
    said = []
    for market, code, needed in (
        ("on-demand", ON_DEMAND_QUOTA, on_demand),
        ("spot", SPOT_QUOTA, spot),
    ):
        with aws.refusals(f"the quota of {market} vCPUs cannot be told"):
            quota = aws.call(
                "service-quotas", "get_service_quota", ServiceCode="ec2", QuotaCode=code
            )
        granted = int(quota["Quota"]["Value"])
        said.append(f"{needed} of {granted} {market} vCPUs")
        if needed > granted:
            detail = f"{needed} {market} vCPUs may be needed, and the account may have {granted}"
            fix = (
                f"aws service-quotas request-service-quota-increase --service-code ec2 "
                f"--quota-code {code} --desired-value {needed} --region {aws.region}"
            )
            return Check("quotas", Verdict.FAIL, detail, fix)
    return Check("quotas", Verdict.OK, ", ".join(said))


def vcpus(aws: Aws, settings: Settings) -> tuple[int, int]:
    """Return the on-demand and spot vCPUs that are used at most.

    Each worker counts as the largest of its types. Raises HubfleetError where AWS does not tell.
    """
    fleet = settings.fleet
    kinds = [fleet.aws.instances.hub]
    if settings.chef_server.mode != "external":
        kinds.append(fleet.aws.instances.chef_server)
    wanted = sorted({*kinds, *fleet.aws.instances.workers})
    with aws.refusals("the instance types cannot be told"):
        types = aws.call("ec2", "describe_instance_types", InstanceTypes=wanted)["InstanceTypes"]
    cores = {each["InstanceType"]: int(each["VCpuInfo"]["DefaultVCpus"]) for each in types}
    largest = max(cores[kind] for kind in fleet.aws.instances.workers)
    spot = fleet.aws.spot
    base = min(spot.on_demand_base, fleet.workers.max)
    # Auto Scaling rounds in favour of on-demand instances.
    beyond = -(-(fleet.workers.max - base) * spot.on_demand_percent // 100)
    on_demand = base + beyond
    machines = sum(cores[kind] for kind in kinds)
    return machines + on_demand * largest, (fleet.workers.max - on_demand) * largest


def _zone(aws: Aws, settings: Settings) -> Check:
    wanted = settings.fleet.aws.dns_zone
    with aws.refusals("the public DNS zones cannot be told"):
        found = list(aws.pages("route53", "list_hosted_zones", "HostedZones"))
    public = [each for each in found if not each.get("Config", {}).get("PrivateZone")]
    if f"{wanted}." not in {each["Name"] for each in public}:
        fix = f"aws route53 create-hosted-zone --name {wanted} --caller-reference {wanted}"
        detail = f"the account has no public zone {wanted}"
        return Check("zone", Verdict.FAIL, detail, f"correct fleet.aws.dns_zone, or run: {fix}")
    return Check("zone", Verdict.OK, wanted)


def needed_images(settings: Settings) -> tuple[str, ...]:
    """Return the machine images that a stack of these settings starts from."""
    return NEEDED_IMAGES if settings.chef_server.mode != "external" else NEEDED_IMAGES[:1]


def chosen_images(environment: str, region: str, root: Path) -> dict[str, str]:
    """Return the AMIs that Terraform takes: the shell's (TF_VAR_images), else the manifest's."""
    noted = machine_images.noted(machine_images.read(root), environment, region)
    try:
        given: dict[str, str] = json.loads(os.environ.get(GIVEN_IMAGES) or "{}")
    except ValueError as error:
        raise PreconditionError(
            f"TF_VAR_images is no JSON: {error}", 'write {"node": "ami-...", "chef_server": "..."}'
        ) from error
    return {each.image: each.ami for each in noted} | given


def _images(aws: Aws, environment: str, settings: Settings, root: Path) -> Check:
    amis = chosen_images(environment, aws.region, root)
    needed = needed_images(settings)
    missing = [name for name in needed if name not in amis]
    if missing:
        detail = f"packer/manifest.json has no image of {environment}: {', '.join(missing)}"
        fix = f"./invoke images.find --env {environment}, or images.bake"
        return Check("machine images", Verdict.FAIL, detail, fix)
    owned = _owned(aws, amis)
    gone = [f"{name} ({amis[name]})" for name in needed if amis[name] not in owned]
    if gone:
        detail = f"the account has no such image: {', '.join(gone)}"
        fix = f"./invoke images.bake --env {environment}"
        return Check("machine images", Verdict.FAIL, detail, fix)
    return Check("machine images", Verdict.OK, ", ".join(amis[name] for name in needed))


def _owned(aws: Aws, amis: dict[str, str]) -> set[str]:
    # By filter: a request by id fails where one of them is gone.
    filters: Iterable[dict[str, object]] = [{"Name": "image-id", "Values": sorted(amis.values())}]
    with aws.refusals("the machine images cannot be told"):
        found = aws.call("ec2", "describe_images", Owners=["self"], Filters=filters)["Images"]
    return {each["ImageId"] for each in found if each.get("State") == "available"}


def _state(aws: Aws) -> Check:
    bucket = states.name(aws.identity().account, aws.region)
    if not states.exists(aws, bucket):
        return Check("state", Verdict.WARN, f"there is no bucket {bucket} yet", "deploy makes it")
    return Check("state", Verdict.OK, bucket)
