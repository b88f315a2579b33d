provides :chef_api_service
resource_name :chef_api_service
unified_mode true

description 'Installs the embedded Chef API and runs it as a sandboxed systemd service on the loopback address.'

property :organization, String,
         name_property: true,
         regex: /\A[a-z0-9_-]+\z/,
         description: 'The one organization it serves.'

property :port, Integer,
         default: 8889,
         description: 'Port on 127.0.0.1.'

property :data_dir, String,
         default: '/var/lib/hubfleet-chef',
         description: 'Where the data lies.'

property :clock_skew_s, Integer,
         default: 900,
         description: 'Seconds a request may be old or early.'

property :clients, Hash,
         default: {},
         description: 'Clients that exist from the start: name => { public_key:, admin:, validator:, controller: }.'

property :user, String,
         default: 'hubfleet-chef',
         description: 'System user of the service.'

property :install_dir, String,
         default: '/opt/hubfleet-chef-api',
         description: 'Where the code lies.'

property :config_dir, String,
         default: '/etc/hubfleet/chef-api',
         description: 'Settings and public keys.'

property :gem_home, String,
         default: '/opt/chef',
         description: 'Where chef-zero, puma and mixlib-authentication are installed.'

property :ruby, String,
         default: '/usr/bin/ruby',
         description: 'The Ruby that these gems were built for.'

action :create, description: 'Install, configure, start; restart when code or settings are newer than the process.' do
  create_user
  install_code
  write_settings
  run_service
end

action_class do
  def unit_name
    'hubfleet-chef-api'
  end

  def settings_path
    "#{new_resource.config_dir}/settings.json"
  end

  def key_path(client)
    "#{new_resource.config_dir}/#{client}.pub"
  end

  def create_user
    declaration = "/etc/sysusers.d/#{new_resource.user}.conf"

    directory ::File.dirname(declaration) do
      mode '0755'
    end

    file declaration do
      content "u #{new_resource.user} - \"Chef API\" #{new_resource.data_dir}\n"
      mode '0644'
    end

    # Not the resource `user`: it needs the gem ruby-shadow, which chef-client's own gems lack.
    execute "create user #{new_resource.user}" do
      command ['systemd-sysusers', declaration]
      not_if { ChefApiCookbook.user?(new_resource.user) }
    end

    directory new_resource.data_dir do
      owner new_resource.user
      group new_resource.user
      mode '0700'
    end
  end

  def install_code
    remote_directory new_resource.install_dir do
      cookbook 'chef_api'
      source 'hubfleet-chef-api'
      owner 'root'
      group 'root'
      mode '0755'
      files_owner 'root'
      files_group 'root'
      files_mode '0644'
      purge true
    end
  end

  def write_settings
    directory new_resource.config_dir do
      mode '0755'
      recursive true
    end

    new_resource.clients.each do |name, client|
      file key_path(name) do
        content client.fetch(:public_key)
        mode '0644'
      end
    end

    file settings_path do
      content "#{JSON.pretty_generate(settings)}\n"
      mode '0644'
    end
  end

  def settings
    {
      'organization' => new_resource.organization,
      'port' => new_resource.port,
      'data_dir' => new_resource.data_dir,
      'clock_skew_s' => new_resource.clock_skew_s,
      'clients' => new_resource.clients.map do |name, client|
        { 'name' => name, 'admin' => client.fetch(:admin, false), 'validator' => client.fetch(:validator, false), 'controller' => client.fetch(:controller, false),
          'public_key_file' => key_path(name) }
      end,
    }
  end

  def run_service
    systemd_unit "#{unit_name}.service" do
      content ChefApiCookbook.unit(
        command: "#{new_resource.ruby} #{new_resource.install_dir}/bin/hubfleet-chef-api #{settings_path}",
        user: new_resource.user, gem_home: new_resource.gem_home, data_dir: new_resource.data_dir
      )
      action %i(create enable start)
    end

    service unit_name do
      action :restart
      only_if { Hubfleet::Unit.new(unit_name).older_than?(running_files) }
    end
  end

  def running_files
    ["/etc/systemd/system/#{unit_name}.service", *Dir["#{new_resource.config_dir}/*"],
     *Dir["#{new_resource.install_dir}/**/*"]]
  end
end
