provides :node_base_client
resource_name :node_base_client
unified_mode true

description 'Keeps the configuration of chef-client and runs it on a systemd timer.'

property :instance_name, String,
         name_property: true,
         description: 'Any name; a node has one chef-client.'

property :interval_s, Integer,
         required: [:create],
         callbacks: { 'must be at least a minute' => ->(value) { value >= 60 } },
         description: 'Seconds between two runs.'

property :splay_s, Integer,
         default: 300,
         description: 'A node waits a part of this longer, always the same, so that the fleet does not run at once.'

property :config_directory, String,
         default: '/etc/chef',
         description: 'Directory of client.rb.'

property :client_path, String,
         default: '/usr/local/bin/chef-client',
         description: 'The program to run.'

property :manage_config, [true, false],
         default: lazy { !Chef::Config[:local_mode] },
         description: 'Whether to own client.rb; a run without a server cannot know what belongs there.'

property :disabled_plugins, Array,
         default: NodeBase::OHAI_DISABLED,
         description: 'Ohai plugins that are not run.'

action :create, description: 'Install the record of runs, client.rb and the timer.' do
  install_handler
  write_config if new_resource.manage_config
  install_timer
end

action_class do
  # For this run too: a first run knows no handler from its client.rb.
  def install_handler
    directory NodeBase::LIBRARY do
      mode '0755'
      recursive true
    end

    NodeBase::HANDLER_FILES.each do |name, permissions|
      cookbook_file "#{NodeBase::LIBRARY}/#{name}" do
        cookbook 'node_base'
        source name
        mode permissions
      end
    end

    chef_handler 'Hubfleet::ConvergeRecord' do
      source NodeBase::HANDLER
    end
  end

  def write_config
    template "#{new_resource.config_directory}/client.rb" do
      cookbook 'node_base'
      source 'client.rb.erb'
      owner 'root'
      group 'root'
      mode '0644'
      variables(
        identity: {
          chef_server_url: Chef::Config[:chef_server_url],
          node_name: node.name,
          policy_name: node.policy_name,
          policy_group: node.policy_group,
        },
        ca_file: "#{new_resource.config_directory}/trusted_certs/hubfleet-ca.crt",
        disabled_plugins: new_resource.disabled_plugins,
        handler: NodeBase::HANDLER
      )
    end
  end

  def install_timer
    systemd_unit 'chef-client.service' do
      content NodeBase.service_unit("#{new_resource.client_path} --config #{new_resource.config_directory}/client.rb --no-color")
      action :create
    end

    systemd_unit 'chef-client.timer' do
      content NodeBase.timer_unit(interval_s: new_resource.interval_s, splay_s: new_resource.splay_s)
      action %i(create enable start)
    end

    service 'chef-client.timer' do
      action :restart
      only_if { Hubfleet::Unit.new('chef-client.timer').older_than?(['/etc/systemd/system/chef-client.timer']) }
    end
  end
end
