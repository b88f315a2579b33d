"""chef-client of the Ruby bundle, run on this machine as a node of a harmless policy."""

from dataclasses import dataclass
from pathlib import Path

from hubfleet.clients.process import Completed, run
from hubfleet.state import ROOT

TIMEOUT_S = 300
"""One run takes 4 s on a quiet machine, most of it Ohai's and the start of Ruby."""

CONFIGURATION = """\
chef_server_url '{url}'
node_name '{name}'
policy_name '{policy}'
policy_group '{group}'
authentication_protocol_version '1.3'
client_key '{directory}/{name}.pem'
file_cache_path '{directory}/cache'
file_backup_path '{directory}/backup'
cache_path '{directory}/state'
lockfile '{directory}/lock'
trusted_certs_dir '{directory}/trusted'
log_location STDOUT
enable_reporting false
data_collector.mode :solo
ohai.disabled_plugins = %i(ShardSeed)
"""


@dataclass(frozen=True)
class ChefClient:
    """A chef-client whose files all lie in `directory`: its cache is empty until its first run.

    Its key, `directory`/NAME.pem, is the caller's to make, and so is the policy: it is converged
    on this very machine, by the user who runs this.
    """

    directory: Path
    name: str
    url: str
    group: str
    policy: str

    def converge(self) -> Completed:
        """Run once, whatever comes of it; raise CommandError where it does not end in time."""
        file = self.directory / "client.rb"
        file.write_text(
            CONFIGURATION.format(
                url=self.url,
                name=self.name,
                policy=self.policy,
                group=self.group,
                directory=self.directory,
            ),
            encoding="utf-8",
        )
        argv: list[str | Path] = [
            ROOT / "bin" / "_bundle",
            "chef-client",
            "--no-color",
            "--once",
            "--config",
            file,
        ]
        return run(argv, timeout=TIMEOUT_S, check=False)
