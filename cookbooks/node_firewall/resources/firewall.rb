provides :node_firewall
resource_name :node_firewall
unified_mode true

description "Isolates students' containers from the node, the fleet and each other, now, after a restart of the engine and whenever an overlay's namespace appears."

property :side, String,
         name_property: true,
         equal_to: %w(hub worker),
         description: 'What the node runs: the stack, or students.'

property :interface, String,
         required: [:enable],
         regex: /\A[A-Za-z0-9._-]+\z/,
         description: 'Interface on the fleet network; its subnet is closed for containers.'

property :api_port, Integer,
         default: 8081,
         description: "Port of the hub's API on the overlay, the only one a server may speak to."

property :proxy_port, Integer,
         default: 8000,
         description: 'Published port of the proxy; only this node itself may use it.'

property :egress, String,
         default: 'internet',
         equal_to: %w(internet none),
         description: 'What a server may reach outside.'

property :overlay_guard, [true, false],
         default: true,
         description: 'Guard the namespaces of overlay networks.'

action :enable, description: 'Install script and units, put the rules in place where they are missing.' do
  package %w(iptables iproute2)

  directory ::File.dirname(NodeFirewall::CONF) do
    owner 'root'
    group 'root'
    mode '0755'
  end

  file NodeFirewall::CONF do
    content NodeFirewall::Settings.render(**%i(side interface api_port proxy_port egress overlay_guard).to_h { |name| [name, new_resource.public_send(name)] })
    owner 'root'
    group 'root'
    mode '0644'
  end

  cookbook_file NodeFirewall::SCRIPT do
    cookbook 'node_firewall'
    source 'hubfleet-firewall'
    owner 'root'
    group 'root'
    mode '0755'
  end

  units.each do |name, document|
    systemd_unit name do
      content document
      action name.end_with?('.service') ? :create : %i(create enable start)
    end
  end

  execute 'put the firewall rules in place' do
    command [NodeFirewall::SCRIPT, 'apply']
    not_if { intact? }
  end

  # After the rules are there: a rule set that cannot be applied must not stop the engine's next start.
  service 'hubfleet-firewall.service' do
    action %i(enable start)
  end
end

action :disable, description: 'Take rules and units away.' do
  units.keys.reverse_each do |name|
    systemd_unit name do
      action %i(stop disable delete)
    end
  end

  execute 'take the firewall rules away' do
    command [NodeFirewall::SCRIPT, 'remove']
    only_if { ::File.exist?(NodeFirewall::SCRIPT) }
  end

  [NodeFirewall::SCRIPT, NodeFirewall::CONF].each do |path|
    file path do
      action :delete
    end
  end
end

action_class do
  # Looks three times: the guard may be at work on a namespace that has just appeared. Rules that were
  # never applied since the boot are not waited for.
  def intact?
    ::File.exist?(NodeFirewall::APPLIED) && 3.times.any? do |earlier|
      sleep(1) if earlier > 0
      shell_out(NodeFirewall::SCRIPT, 'check').exitstatus == 0
    end
  end

  def units
    {
      'hubfleet-firewall.service' => NodeFirewall::Units::FIREWALL,
      'hubfleet-overlay-guard.service' => NodeFirewall::Units::GUARD,
      'hubfleet-overlay-guard.path' => NodeFirewall::Units::GUARD_PATH,
      'hubfleet-overlay-guard.timer' => NodeFirewall::Units::GUARD_TIMER,
    }
  end
end
