"""What must hold for packer/: each rule returns what is wrong, an empty list where nothing is."""

import re
from collections.abc import Callable

from tests.static.packer_files import Packer

Rule = Callable[[Packer], list[str]]


def described_and_typed(packer: Packer) -> list[str]:
    wrong = []
    for entry in packer.blocks["variable"]:
        ((name, body),) = entry.items()
        if len(body.get("description", "")) < 20 or "type" not in body:
            wrong.append(f"{name} has no description or no type")
    return wrong


def plugins_are_exact(packer: Packer) -> list[str]:
    plugins = [
        plugin
        for block in packer.blocks["packer"]
        for group in block["required_plugins"]
        for plugin in group.values()
    ]
    assert plugins
    return [f"{p} is no version" for p in plugins if not re.fullmatch(r"[\d.]+", p["version"])]


def encrypted(packer: Packer) -> list[str]:
    source = packer.source
    disks = source["launch_block_device_mappings"]
    wrong = [] if source.get("encrypt_boot") is True else ["encrypt_boot is not true"]
    wrong += ["a disk of the builder is in clear" for d in disks if d.get("encrypted") is not True]
    public = {"ami_users", "ami_groups", "ami_org_arns", "snapshot_users", "snapshot_groups"}
    return wrong + [f"{key} shares the image" for key in public & source.keys()]


def metadata_by_token(packer: Packer) -> list[str]:
    (options,) = packer.source["metadata_options"]
    wrong = [] if options["http_tokens"] == "required" else ["the builder answers without a token"]
    wrong += [] if options["http_put_response_hop_limit"] == 1 else ["more than one hop"]
    return wrong + (
        [] if packer.source.get("imds_support") == "v2.0" else ["images answer to IMDSv1"]
    )


def ssh_from_here_only(packer: Packer) -> list[str]:
    source = packer.source
    own = source.get("temporary_security_group_source_public_ip") is True
    wrong = [] if own or source["communicator"] != "ssh" else ["ssh is open to the world"]
    opened = {"temporary_security_group_source_cidrs", "security_group_id", "security_group_ids"}
    wrong += [f"{key} opens other ways in" for key in opened & source.keys()]
    if source.get("ssh_clear_authorized_keys") is not True:
        wrong.append("the builder's key stays in the image")
    return wrong


def tagged(packer: Packer) -> list[str]:
    wrong = [
        f"{key} lacks local.tags"
        for key in ("run_tags", "run_volume_tags", "snapshot_tags")
        if "local.tags" not in packer.source.get(key, "")
    ]
    return wrong + [
        f"{n} lacks tags" for n, b in packer.images.items() if "local.tags" not in b["tags"]
    ]


def wildcards_have_reasons(packer: Packer) -> list[str]:
    wrong = []
    for file, text in packer.texts.items():
        lines = text.splitlines()
        for before, line in zip(lines, lines[1:], strict=False):
            if re.match(r"\s*Resource\s*=.*\*", line) and "# reason:" not in before:
                wrong.append(f"{file}: no reason beside {line.strip()}")
    return wrong


def nothing_of_an_account_or_region(packer: Packer) -> list[str]:
    account = re.compile(r"(?<![0-9a-f])\d{12}(?![0-9a-f])")
    region = re.compile(r"\b(us|eu|ap|sa|ca|me|af)-(north|south|east|west|central)\w*-\d\b")
    return [
        f"{file} names {found.group()}"
        for file, text in packer.texts.items()
        for pattern in (account, region)
        for found in pattern.finditer(text)
    ]


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        described_and_typed,
        plugins_are_exact,
        encrypted,
        metadata_by_token,
        ssh_from_here_only,
        tagged,
        wildcards_have_reasons,
        nothing_of_an_account_or_region,
    )
}
