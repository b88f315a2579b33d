require 'etc'

# The systemd unit of the embedded Chef API, and the user it runs as.
module ChefApiCookbook
  # Sandbox of a service that reads its code and settings, writes one directory and listens on loopback.
  # MemoryDenyWriteExecute is left out: the ffi gem makes callbacks executable at run time.
  SANDBOX = {
    'NoNewPrivileges' => true,
    'CapabilityBoundingSet' => '',
    'AmbientCapabilities' => '',
    'ProtectSystem' => 'strict',
    'ProtectHome' => true,
    'ProtectClock' => true,
    'ProtectControlGroups' => true,
    'ProtectHostname' => true,
    'ProtectKernelLogs' => true,
    'ProtectKernelModules' => true,
    'ProtectKernelTunables' => true,
    'ProtectProc' => 'invisible',
    'ProcSubset' => 'pid',
    'PrivateDevices' => true,
    'PrivateTmp' => true,
    'PrivateIPC' => true,
    'DevicePolicy' => 'closed',
    'RemoveIPC' => true,
    'RestrictAddressFamilies' => 'AF_UNIX AF_INET',
    'IPAddressDeny' => 'any',
    'IPAddressAllow' => 'localhost',
    'RestrictNamespaces' => true,
    'RestrictRealtime' => true,
    'RestrictSUIDSGID' => true,
    'LockPersonality' => true,
    'KeyringMode' => 'private',
    'SystemCallArchitectures' => 'native',
    'SystemCallFilter' => ['@system-service', '~@privileged @resources'],
    'SystemCallErrorNumber' => 'EPERM',
    'UMask' => '0077',
  }.freeze

  module_function

  def user?(name)
    !Etc.getpwnam(name).nil?
  rescue ArgumentError
    false
  end

  def unit(command:, user:, gem_home:, data_dir:)
    {
      # However often it dies, it is started again: the default gives up after five times.
      'Unit' => { 'Description' => 'Chef API', 'After' => 'network.target', 'StartLimitIntervalSec' => 0 },
      'Service' => {
        'Type' => 'notify',
        'ExecStart' => command,
        'User' => user,
        'Group' => user,
        'Environment' => ["GEM_HOME=#{gem_home}", "GEM_PATH=#{gem_home}", 'LANG=C.UTF-8'],
        'Restart' => 'always',
        'RestartSec' => '1s',
        'ReadWritePaths' => data_dir,
      }.merge(SANDBOX),
      'Install' => { 'WantedBy' => 'multi-user.target' },
    }
  end
end
