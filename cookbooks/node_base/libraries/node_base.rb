require 'openssl'

# Constants and unit files of this cookbook.
module NodeBase
  LIBRARY = '/usr/local/lib/hubfleet'.freeze
  HANDLER = "#{LIBRARY}/converge_record.rb".freeze
  # What HANDLER requires, and what records a run in which it never came to work; with their modes.
  HANDLER_FILES = { 'converge_outcome.rb' => '0644', 'converge_record.rb' => '0644', 'converge_ended' => '0755' }.freeze
  # The authorities that this node trusts to vouch for the Chef server, the registry and the hub.
  CA_FILE = '/etc/chef/trusted_certs/hubfleet-ca.crt'.freeze

  # Where AWS's APIs are to be reached elsewhere, such as at endpoints of a network of one's own: variables
  # of its SDKs (AWS_ENDPOINT_URL, ...). An administrator's file; as a rule there is none.
  AWS_ENVIRONMENT = '/etc/hubfleet/aws.env'.freeze

  # While it is there, the timer's runs do nothing: a rollout keeps a node at the revision that it has.
  HOLD = '/var/lib/hubfleet/hold'.freeze

  # Machines are told what they are by their bootstrap, so no cloud is asked; hardware, languages,
  # users, packages and processes are read by no cookbook.
  OHAI_DISABLED = %w(
    Alibaba Azure BlockDevice C Cloud DMI DigitalOcean Docker EC2 Elixir Erlang Eucalyptus GCE Go Groovy Grub2
    Habitat Haskell Hostnamectl Interrupts IPC Java Keys Libvirt Linode Livepatch Lspci Lua Mdadm Mono Nodejs Oci
    Openstack PHP PS Packages Passwd Perl Powershell Python Rackspace Ruby Rust SSHHostKey Scala Scaleway Lsscsi
    Selinux Sessions ShardSeed Shells Softlayer Sysconf Sysctl SystemdPaths Tc Timezone VMware Virtualbox Zpools
  ).freeze

  module_function

  # The text, which must hold certificates: without one the next run could not reach its server.
  def certificates!(text)
    raise 'the secret ca_crt holds no certificate' if OpenSSL::X509::Certificate.load(text).empty?

    text
  rescue OpenSSL::X509::CertificateError => e
    raise "the secret ca_crt holds no certificate: #{e.message}"
  end

  # However a run ends, killed ones included, ExecStopPost sees to it that it is recorded.
  def service_unit(command)
    {
      'Unit' => {
        'Description' => 'Chef Infra Client',
        'Wants' => 'network-online.target',
        'After' => 'network-online.target',
        'ConditionPathExists' => "!#{HOLD}",
      },
      # What chef-client ends with when it asks for a reboot or was told to stop is no failure.
      'Service' => { 'Type' => 'oneshot', 'EnvironmentFile' => "-#{AWS_ENVIRONMENT}", 'ExecStart' => command,
                     'ExecStopPost' => "#{LIBRARY}/converge_ended", 'SuccessExitStatus' => '3 213 35 37 41' },
    }
  end

  # Counted from the end of the last run, so two runs never overlap. The first comes an interval after
  # boot: bootstrap has run by then.
  def timer_unit(interval_s:, splay_s:)
    {
      'Unit' => { 'Description' => 'Chef Infra Client, regularly' },
      'Timer' => {
        'OnActiveSec' => "#{interval_s}s",
        'OnUnitInactiveSec' => "#{interval_s}s",
        'RandomizedDelaySec' => "#{splay_s}s",
        'FixedRandomDelay' => 'true',
      },
      'Install' => { 'WantedBy' => 'timers.target' },
    }
  end
end
