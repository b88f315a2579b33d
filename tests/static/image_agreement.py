"""Where packer/ and terraform/ must say the same: each rule returns what differs, in words.

What Packer makes Terraform finds by names alone; nothing else would notice that one was changed.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hubfleet.fleet.base import Role
from hubfleet.settings import environments, load, named_run_lists
from tests.static.hcl import Stack, nested
from tests.static.packer_files import Packer

LOCAL = re.compile(r"local\.(?:aws|disks)\.([a-z_]+(?:\.[a-z_]+)*)")

ENVIRONMENT_FILE = "../environments/${var.environment}.json"


@dataclass(frozen=True)
class Pair:
    """Both folders, of which either can be changed."""

    packer: Packer
    stack: Stack

    def changed(self, file: str, old: str, new: str) -> "Pair":
        """Return both with one change in one file; `old` must be there."""
        if file in self.packer.texts:
            return Pair(self.packer.changed(file, old, new), self.stack)
        return Pair(self.packer, self.stack.changed(file, old, new))

    @property
    def manifest(self) -> dict[str, Any]:
        """Return the arguments of Packer's manifest."""
        (manifest,) = (entry["manifest"] for entry in self.packer.build["post-processor"])
        return dict(manifest)

    @property
    def machines(self) -> dict[str, str]:
        """Return the image of each role's machine, as Terraform has it."""
        text = self.stack.texts["locals.tf"]
        machines = text.partition("all_machines = {")[2].partition("\n  }\n}")[0]
        pairs = re.findall(r"^    (\w+)\s*= \{\s*image = \"(\w+)\"", machines, re.MULTILINE)
        return dict(pairs)

    @property
    def packer_locals(self) -> dict[str, Any]:
        return {
            key: value for block in self.packer.blocks["locals"] for key, value in block.items()
        }

    def variable(self, name: str, packer: bool) -> dict[str, Any]:
        """Return a variable's block."""
        if packer:
            found = [entry[name] for entry in self.packer.blocks["variable"] if name in entry]
        else:
            found = [dict(b.body) for b in self.stack.of("variable") if b.labels == (name,)]
        (body,) = found
        return dict(body)


Rule = Callable[[Pair], Iterator[str]]


def images_have_the_same_names(pair: Pair) -> Iterator[str]:
    wanted = set(pair.machines.values())
    if not wanted:
        yield "Terraform's machines have no images"
    for name in sorted(wanted - pair.packer.images.keys()):
        yield f"Packer makes no image {name}"
    known = pair.variable("images", packer=False)["validation"][0]["condition"]
    if set(re.findall(r"contains\(\[(.*?)\]", known)[0].replace('"', "").split(", ")) != wanted:
        yield "var.images takes other names than the machines have"
    for name, image in pair.packer.images.items():
        if not image["ami_name"].startswith(f"${{local.name}}-{name}-"):
            yield f"the image {name} has another name"
        if f'"hubfleet.image" = "{name}"' not in image["tags"]:
            yield f"the image {name} is tagged as another one"


def the_manifest_has_what_is_read(pair: Pair) -> Iterator[str]:
    noted = pair.manifest["custom_data"]
    read = set(re.findall(r"custom_data\.(\w+)", pair.stack.texts["locals.tf"]))
    if not read >= {"image", "environment"}:
        yield "Terraform does not choose by image and environment"
    yield from (f"Packer does not note {name}" for name in sorted(read - noted.keys()))
    for name, value in {"image": "${source.name}", "environment": "${var.environment}"}.items():
        if noted.get(name) != value:
            yield f"Packer notes {noted.get(name)} as {name}"
    place = pair.variable("image_manifest", packer=False)["default"]
    if pair.manifest["output"].replace("${path.root}", "../packer") != place:
        yield f"Terraform looks for the manifest in {place}"


def artifacts_are_one_image_of_one_region(pair: Pair) -> Iterator[str]:
    # The builder's artifact id is <region>:<ami>, with a comma before each further region
    # (packer-plugin-amazon, common/artifact.go).
    text = pair.stack.texts["locals.tf"]
    if 'split(":", build.artifact_id)[1]' not in text:
        yield "Terraform does not take the id behind the region"
    if 'startswith(build.artifact_id, "${local.aws.region}:")' not in text:
        yield "Terraform takes images of other regions"
    if pair.packer.source.get("region") != "${local.aws.region}":
        yield "Packer builds in another region than the environment's"
    for key in ("ami_regions", "skip_create_ami"):
        if key in pair.packer.source:
            yield f"{key}: the artifact has another form"


def the_newest_image_wins(pair: Pair) -> Iterator[str]:
    if "reverse(local.baked[machine.image])[0]" not in pair.stack.texts["locals.tf"]:
        yield "Terraform does not take the last entry"
    # Packer adds to a manifest; the option would forget what another environment has.
    if pair.manifest.get("strip_time") or "keep_input_artifact" in pair.manifest:
        yield "the manifest is written otherwise"


def root_volumes_are_the_same(pair: Pair) -> Iterator[str]:
    (built,) = pair.packer.source["launch_block_device_mappings"]
    for template in pair.stack.resources("aws_launch_template"):
        disk = nested(template.body, "block_device_mappings")
        if disk["device_name"] != built["device_name"]:
            yield f"{template}: {disk['device_name']} is not the root of Packer's images"
        for key in ("volume_type", "encrypted"):
            if nested(disk, "ebs").get(key) != built.get(key):
                yield f"{template}: {key} is another than Packer's"
    if built["volume_size"] != "${local.disks.root_gb}":
        yield "an image is larger than the root volume"
    for name in _on_aws():
        disks = load(name).fleet.aws.disks
        if disks.worker_gb < disks.root_gb:
            yield f"{name}: a worker's volume is smaller than the image it is made from"


def metadata_service_is_the_same(pair: Pair) -> Iterator[str]:
    (built,) = pair.packer.source["metadata_options"]
    for template in pair.stack.resources("aws_launch_template"):
        options = nested(template.body, "metadata_options")
        for key, value in built.items():
            if options.get(key) != value:
                yield f"{template}: {key} is another than the builder's"


def environments_are_read_alike(pair: Pair) -> Iterator[str]:
    packer, stack = pair.packer_locals["group"], pair.stack.locals["document"]
    yield from (
        f"{text} is no environment" for text in (packer, stack) if ENVIRONMENT_FILE not in text
    )
    patterns = [
        re.findall(r'regex\("(.*?)", var\.environment', each["validation"][0]["condition"])
        for each in (pair.variable("environment", True), pair.variable("environment", False))
    ]
    if patterns[0] != patterns[1]:
        yield "they take other names of environments"
    for name in _on_aws():
        tree = load(name).fleet.aws.model_dump()
        for text in pair.packer.texts.values():
            for path in LOCAL.findall(text):
                if not _value(tree | tree["disks"], path):
                    yield f"{name}: {path} is read by Packer, and empty"


def names_and_tags_are_the_same(pair: Pair) -> Iterator[str]:
    if pair.packer_locals["name"] != pair.stack.locals["name"]:
        yield "they call the stack by other names"
    packer, stack = pair.packer_locals["tags"], pair.stack.locals["tags"]
    for key in stack:
        if key not in packer:
            yield f"Packer does not set {key}"
    if packer.get("hubfleet.deployment") != stack["hubfleet.deployment"]:
        yield "hubfleet.deployment has another value"


def the_builder_reads_the_repositories_of_the_stack(pair: Pair) -> Iterator[str]:
    policy = pair.packer.source["dynamic"][0]["temporary_iam_instance_profile_policy_document"][
        "content"
    ][0]
    opened = [resource for each in policy["Statement"] for resource in each["Resource"]]
    prefixes = [text.partition(":repository/")[2] for text in opened if ":repository/" in text]
    if prefixes != ["${local.name}/*"]:
        yield f"the builder reads {prefixes}"
    for repository in pair.stack.resources("aws_ecr_repository"):
        if not repository.body["name"].startswith("${local.name}/"):
            yield f"{repository} is not where the builder reads"
    form = re.findall(
        r'regex\("(.*?)"', pair.variable("registry", True)["validation"][0]["condition"]
    )
    sample = _registry(pair.stack.locals["registry"])
    if not re.fullmatch(form[0].replace("\\\\", "\\"), sample):
        yield f"var.registry refuses {sample}, the stack's own"


def _registry(template: str) -> str:
    """Return Terraform's address of the registry with values such as AWS has."""
    values = {
        "local.account": "123456789012",
        "local.aws.region": load(_on_aws()[0]).fleet.aws.region,
        "data.aws_partition.this.dns_suffix": "amazonaws.com",
        "local.name": f"hubfleet-{_on_aws()[0]}",
    }
    return re.sub(r"\$\{(.+?)\}", lambda found: values[found[1]], template)


def roles_have_machines_and_images(pair: Pair) -> Iterator[str]:
    known = {str(role) for role in Role}
    if set(pair.machines) != known:
        yield f"Terraform's machines are {sorted(pair.machines)}"
    text = pair.packer.texts["build.pkr.hcl"]
    for policy in set(re.findall(r"\$\{var\.inputs\}/(\w+)\.tgz", text)) - {"checkout"}:
        if policy not in known or "image" not in named_run_lists(policy):
            yield f"the policy {policy} has no run list `image`"
    chosen = re.search(r'source\.name == "(\w+)" \? "(\w+)" : source\.name', text)
    if chosen is None or pair.machines.get(chosen[2]) != chosen[1]:
        yield "the node image is not made by the policy of a machine that starts from it"


def _on_aws() -> list[str]:
    return [name for name in environments() if load(name).fleet.backend == "aws"]


def _value(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        images_have_the_same_names,
        the_manifest_has_what_is_read,
        artifacts_are_one_image_of_one_region,
        the_newest_image_wins,
        root_volumes_are_the_same,
        metadata_service_is_the_same,
        environments_are_read_alike,
        names_and_tags_are_the_same,
        the_builder_reads_the_repositories_of_the_stack,
        roles_have_machines_and_images,
    )
}
