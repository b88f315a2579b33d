provides :chef_infra_server
resource_name :chef_infra_server
unified_mode true

description 'Installs a Chef or Cinc Infra Server and gives it our certificate, one organization, an administrator and a validator, both with public keys of ours.'

property :organization, String,
         name_property: true,
         regex: /\A[a-z0-9][a-z0-9_-]*\z/,
         description: 'The organization to have.'

property :package_name, String,
         default: '',
         description: 'Package of the distribution; empty: the file of `source`.'

property :package_version, String,
         default: '',
         description: 'Version of package_name; empty: any.'

property :source, String,
         default: '',
         description: 'https URL or absolute path of a .deb.'

property :sha256, String,
         default: '',
         description: 'SHA-256 of the file of `source`.'

property :program, String,
         default: 'chef-server-ctl',
         equal_to: %w(chef-server-ctl cinc-server-ctl),
         description: 'The control program that the package brings.'

property :config_file, String,
         default: '/etc/opscode/chef-server.rb',
         description: 'The file that the control program reads.'

property :port, Integer,
         default: 8444,
         description: 'TLS port. Not 443: that is the image registry\'s on the same machine.'

property :api_fqdn, String,
         required: true,
         regex: /\A[a-z0-9.-]{1,63}\z/,
         description: 'Name by which nodes reach it, in lower case and shorter than 64 characters.'

property :certificate_file, String,
         description: 'Certificate in PEM; without it and its key the server makes one of its own.'

property :private_key_file, String,
         description: 'Key of the certificate.'

property :administrator, String,
         default: 'operator',
         regex: /\A[a-z0-9_-]+\z/,
         description: 'User that administers the organization.'

property :operator_public_key, String,
         required: true,
         description: 'Public key of the administrator, in PEM.'

property :bootstrap_public_key, String,
         required: true,
         description: 'Public key of the organization\'s validator, in PEM.'

property :state_dir, String,
         default: '/var/lib/hubfleet/chef-infra-server',
         description: 'What was configured last, and the public keys.'

property :scratch_dir, String,
         default: '/run/hubfleet-chef-infra-server',
         description: 'Private keys that the server makes unasked, until they are deleted; in memory.'

action :create, description: 'Install, configure, reconfigure where something differs, then organization, users and keys.' do
  ChefInfraServer.check_pair!(new_resource.certificate_file, new_resource.private_key_file, new_resource.api_fqdn)
  ChefInfraServer.check_package!(package_name: new_resource.package_name, source: new_resource.source, sha256: new_resource.sha256)

  install_package
  write_files
  reconfigure
  create_administrator
  create_organization
  own_keys('user', [new_resource.administrator], new_resource.operator_public_key, 'operator')
  own_keys('client', [new_resource.organization, validator], new_resource.bootstrap_public_key, 'bootstrap')
end

action_class do
  def ctl
    @ctl ||= ChefInfraServer::Ctl.new(new_resource.program)
  end

  # An Infra Server makes it with the organization, with the right to create clients.
  def validator
    "#{new_resource.organization}-validator"
  end

  def from_file?
    !new_resource.source.empty?
  end

  def archive
    "#{Chef::Config[:file_cache_path]}/#{::File.basename(new_resource.source)}"
  end

  # A downloaded package says itself what it is called.
  def installed_name
    from_file? ? ChefInfraServer.package_of(archive) : new_resource.package_name
  end

  def install_package
    if from_file?
      remote_file archive do
        source new_resource.source.start_with?('/') ? "file://#{new_resource.source}" : new_resource.source
        checksum new_resource.sha256
        mode '0644'
      end

      dpkg_package installed_name do
        source archive
      end
    else
      package new_resource.package_name do
        version new_resource.package_version unless new_resource.package_version.empty?
      end
    end
  end

  def write_files
    [::File.dirname(new_resource.config_file), new_resource.state_dir].each do |path|
      directory path do
        owner 'root'
        group 'root'
        mode '0755'
        recursive true
      end
    end

    template new_resource.config_file do
      cookbook 'chef_infra_server'
      source 'chef-server.rb.erb'
      owner 'root'
      group 'root'
      mode '0640'
      variables(server: new_resource)
    end

    { 'operator' => new_resource.operator_public_key, 'bootstrap' => new_resource.bootstrap_public_key }.each do |name, key|
      file public_key_file(name) do
        content key
        mode '0644'
      end
    end
  end

  # Guarded by what was reconfigured last, not by a notification: a run that dies in between would lose it.
  # The server's nginx reads a replaced certificate only when it starts.
  def reconfigure
    stamp = "#{new_resource.state_dir}/reconfigured"
    wanted = fingerprint
    return if ::File.file?(stamp) && ::File.read(stamp) == wanted

    [%w(reconfigure), %w(restart nginx)].each do |arguments|
      execute "#{new_resource.program} #{arguments.join(' ')}" do
        command [new_resource.program, *arguments]
        timeout 1200
      end
    end

    file stamp do
      content wanted
      mode '0644'
    end
  end

  def fingerprint
    ChefInfraServer.fingerprint(
      [new_resource.config_file, new_resource.certificate_file, new_resource.private_key_file],
      ChefInfraServer.installed_version(installed_name)
    )
  end

  # The password is needed by nobody and kept by nobody: requests are signed.
  def create_administrator
    name = new_resource.administrator
    return if ctl.users.include?(name)

    with_scratch do |directory|
      execute "create user #{name}" do
        command [new_resource.program, 'user-create', name, name, 'hubfleet', "#{name}@#{new_resource.api_fqdn}",
                 SecureRandom.hex(16), '--filename', "#{directory}/user.pem"]
        sensitive true
      end
    end
  end

  def create_organization
    name = new_resource.organization
    return if ctl.organizations.include?(name)

    with_scratch do |directory|
      execute "create organization #{name}" do
        command [new_resource.program, 'org-create', name, name, '--association_user', new_resource.administrator,
                 '--filename', "#{directory}/validator.pem"]
        sensitive true
      end
    end
  end

  # Our key first, then without all others: the one that the server made, and ours of the past.
  def own_keys(kind, owner, public_key, file_name)
    name = ChefInfraServer.key_name(public_key)
    present = kind == 'user' ? ctl.user_keys(*owner) : ctl.client_keys(*owner)

    unless present.include?(name)
      execute "add key #{name} to #{owner.last}" do
        command [new_resource.program, "add-#{kind}-key", *owner, '--public-key-path', public_key_file(file_name), '--key-name', name]
      end
    end

    (present - [name]).each do |old|
      execute "delete key #{old} of #{owner.last}" do
        command [new_resource.program, "delete-#{kind}-key", *owner, old]
      end
    end
  end

  def with_scratch
    directory new_resource.scratch_dir do
      mode '0700'
    end

    yield new_resource.scratch_dir

    directory new_resource.scratch_dir do
      recursive true
      action :delete
    end
  end

  def public_key_file(name)
    "#{new_resource.state_dir}/#{name}.pub"
  end
end
