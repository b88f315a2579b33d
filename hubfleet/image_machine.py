"""How this machine reaches its package sources, as files for the build stages of images.

Certificates, proxies, package indexes and mirrors are the machine's own and differ from machine to
machine. They are copied to `machine/` of a build context, used by the stages that install packages,
and absent from the stage that becomes the image.
"""

import configparser
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from hubfleet.clients import process

INSIDE = "/run/machine"
"""Where a build stage sees these files."""

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
PIP_FILES = ("/etc/pip.conf", "/etc/xdg/pip/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
PIP_OPTIONS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
NPM_FILES = ("/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc", "~/.npmrc")
NPM_OPTION = re.compile(r"(registry|@[\w-]+:registry|//\S+|(https?-)?proxy|noproxy|strict-ssl)\s*=")
APT_OPTION = re.compile(
    r"Acquire::(Check-Date|Check-Valid-Until|Retries|ForceIPv[46]|https?::(?!CAInfo|.*Detect)\S+) "
)
DEBIAN_SUITES = re.compile(
    r"(bullseye|bookworm|trixie|forky|oldstable|stable|testing)(-security|/updates)?"
)


def machine_files(suite: str, default_sources: str) -> dict[str, bytes]:
    """Return the files of `machine/`; apt's sources are for the Debian release `suite`."""
    texts = {
        "apt.conf": apt_configuration(),
        "sources.list": apt_sources(suite, default_sources),
        "pip.conf": pip_configuration(),
        "npmrc": npm_configuration(),
        "env": environment(),
    }
    return {name: text.encode() for name, text in texts.items()} | {"ca.crt": certificates()}


def apt_options() -> list[str]:
    """Return this machine's settings of how apt fetches, in the form of an apt.conf."""
    dump = process.run(["apt-config", "dump"], timeout=30).stdout
    return [line for line in dump.splitlines() if APT_OPTION.match(line)]


def apt_configuration() -> str:
    """Return an apt.conf that takes sources and certificates from the build context only."""
    own = [
        f'Dir::Etc::sourcelist "{INSIDE}/sources.list";',
        'Dir::Etc::sourceparts "-";',
        f'Acquire::https::CAInfo "{INSIDE}/ca.crt";',
    ]
    return "\n".join([*own, *apt_options()]) + "\n"


def apt_sources(suite: str, default: str) -> str:
    """Return one-line apt sources of `suite` from the mirrors that this machine uses.

    `default` is a text in deb822 format; it serves where the machine names no mirror of Debian.
    """
    mirrors = {"main": "", "security": ""} | dict(_mirrors(default))
    for path in sorted(Path("/etc/apt").glob("sources.list*")):
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in files:
            if file.suffix in {".list", ".sources"}:
                mirrors |= dict(_mirrors(file.read_text(errors="replace")))
    keyring = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    main, security = mirrors["main"], mirrors["security"]
    return (
        f"deb {keyring} {main} {suite} main\n"
        f"deb {keyring} {main} {suite}-updates main\n"
        f"deb {keyring} {security} {suite}-security main\n"
    )


def _mirrors(text: str) -> Iterator[tuple[str, str]]:
    """Yield ("main" or "security", address) of Debian's mirrors in a one-line or deb822 file."""
    for line in text.splitlines():
        if entry := re.match(r"deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)", line):
            yield from _mirror(entry[1], entry[2])
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^(\w[\w-]*):\s*(.+)$", stanza, re.MULTILINE))
        if "deb" in fields.get("Types", "").split():
            yield from _mirror(fields.get("URIs", "").split()[0], fields.get("Suites", ""))


def _mirror(address: str, suites: str) -> Iterator[tuple[str, str]]:
    if match := DEBIAN_SUITES.match(suites):
        yield "security" if match[2] else "main", address


def certificates() -> bytes:
    """Return every certificate authority that this machine is told to trust."""
    named = [Path(os.environ[name]) for name in BUNDLE_VARIABLES if os.environ.get(name)]
    contents = dict.fromkeys(path.read_bytes() for path in [BUNDLE, *named] if path.is_file())
    return b"\n".join(contents)


def pip_configuration() -> str:
    """Return a pip.conf with this machine's indexes, proxy and patience."""
    parser = configparser.RawConfigParser()
    parser.read([Path(name).expanduser() for name in PIP_FILES])
    options: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            options |= {key: value for key, value in parser.items(section) if key in PIP_OPTIONS}
    for key in PIP_OPTIONS:
        for variable in (f"PIP_{key}", f"PIP_DEFAULT_{key}"):
            if value := os.environ.get(variable.upper().replace("-", "_")):
                options[key] = value
    return "[global]\n" + "".join(
        f"{key} = {value.replace(chr(10), chr(10) + '  ')}\n" for key, value in options.items()
    )


def npm_configuration() -> str:
    """Return an npmrc with this machine's registries and proxies."""
    files = [Path(name).expanduser() for name in NPM_FILES]
    lines = [line for path in files if path.is_file() for line in path.read_text().splitlines()]
    registry = {name.lower(): value for name, value in os.environ.items()}.get(
        "npm_config_registry"
    )
    lines += [f"registry={registry}"] if registry else []
    return "".join(f"{line}\n" for line in lines if NPM_OPTION.match(line))


def environment() -> str:
    """Return shell text that points apt, pip, npm, gem and curl at the files of `machine/`."""
    values = {
        "APT_CONFIG": f"{INSIDE}/apt.conf",
        "DEBIAN_FRONTEND": "noninteractive",
        "PIP_CONFIG_FILE": f"{INSIDE}/pip.conf",
        "PIP_CERT": f"{INSIDE}/ca.crt",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "NPM_CONFIG_USERCONFIG": f"{INSIDE}/npmrc",
        "NPM_CONFIG_UPDATE_NOTIFIER": "false",
        "NODE_EXTRA_CA_CERTS": f"{INSIDE}/ca.crt",
        "SSL_CERT_FILE": f"{INSIDE}/ca.crt",
    }
    for name in PROXY_VARIABLES:
        for variable in (name, name.upper()):
            if value := os.environ.get(variable):
                values[variable] = value
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
