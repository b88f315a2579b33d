#
# The hub's stack, with nginx in front: the last step of the hub node.
#
zone = node['fleet']['zone']
hub = node['hub']
images = %w(hub notebook).to_h { |name| [name, Hubfleet::Registry.reference(node, name)] }
hub_secrets = JupyterhubStack.secrets_for(hub['authenticator'])
fleet_secrets = JupyterhubStack::FLEET_SECRETS.fetch(node['fleet']['backend'])
secrets = hub_secrets | fleet_secrets
settings = JupyterhubStack.settings(node.policy_group, node)
hub_settings = JupyterhubStack.settings(node.policy_group, node, JupyterhubStack::CONCERNS - JupyterhubStack::CONTROLLER_ONLY)

engine_image images['hub']

directory '/etc/hubfleet' do
  owner 'root'
  group 'root'
  mode '0755'
end

# Holds the hub's database with the tokens of all servers.
directory hub['data_dir'] do
  owner 'root'
  group 'root'
  mode '0700'
  recursive true
end

directory JupyterhubStack::FLEET_DIR do
  owner 'root'
  group 'root'
  mode '0755'
  recursive true
end

file JupyterhubStack::SETTINGS do
  content settings
  owner 'root'
  group 'root'
  mode '0644'
end

file JupyterhubStack::CONFIG do
  content JupyterhubStack::CONFIG_TEXT
  owner 'root'
  group 'root'
  mode '0644'
end

secrets.each do |name|
  swarm_secret JupyterhubStack.swarm_name(name) do
    value lazy { Hubfleet::Secrets.for(node).read('hub', name) }
  end
end

template JupyterhubStack::STACK do
  source 'stack.yml.erb'
  owner 'root'
  group 'root'
  mode '0644'
  variables(lazy do
    {
      hub_image: images['hub'],
      notebook_image: images['notebook'],
      control_subnet: node['swarm']['networks']['control']['subnet'],
      port: hub['port'],
      api_port: hub['api_port'],
      ca_directory: '/etc/chef/trusted_certs',
      chef_url: Chef::Config[:chef_server_url],
      aws_environment: ::File.exist?(NodeBase::AWS_ENVIRONMENT) ? NodeBase::AWS_ENVIRONMENT : nil,
      fleet_dir: JupyterhubStack::FLEET_DIR,
      hub_secrets: hub_secrets,
      fleet_secrets: fleet_secrets,
      data_dir: hub['data_dir'],
      homes: node['storage']['homes'],
      settings: JupyterhubStack::SETTINGS,
      config: JupyterhubStack::CONFIG,
      hub_digest: JupyterhubStack.digest(hub_settings, JupyterhubStack::CONFIG_TEXT),
      fleet_digest: JupyterhubStack.digest(settings),
      health: JupyterhubStack.method(:health_command),
      secrets: secrets.to_h { |name| [name, Swarm::Diffs.secret_name(JupyterhubStack.swarm_name(name), Hubfleet::Secrets.for(node).read('hub', name))] },
    }
  end)
  verify 'docker stack config --compose-file %{path}'
end

# The pin is not waited for: a worker that is ill must not keep the hub from converging.
swarm_stack JupyterhubStack::NAME do
  file JupyterhubStack::STACK
  wait_for %w(proxy hub fleet)
end

secrets.each do |name|
  swarm_secret "older versions of #{name}" do
    secret_name JupyterhubStack.swarm_name(name)
    value lazy { Hubfleet::Secrets.for(node).read('hub', name) }
    action :prune
  end
end

engine_image "older than #{images['hub']}" do
  reference images['hub']
  action :prune
end

# The same hub under its names in the zone and, with a certificate of its own, under its public one.
serve = lambda do |site, names, certificate_name|
  nginx_site site do
    server_names names
    certificate certificate_name
    upstream "http://127.0.0.1:#{hub['port']}"
    default_server certificate_name == 'server'
    websockets true
    read_timeout_s 3600
    max_body_size '0'
    request_buffering false
    buffering false
    hsts true
  end
end

serve.call('hub', ["hub.#{zone}", 'localhost'], 'server')

# The hub answers to its public name without this, too: as the default server, with the node's certificate.
if node['tls']['source'] == 'acme'
  web_tls_acme node['fleet']['aws']['host'] do
    certificate_name 'public'
    directory node['tls']['acme']['directory']
    email node['tls']['acme']['email']
    tls_directory node['tls']['directory']
  end

  serve.call('public', [node['fleet']['aws']['host']], 'public')
else
  %w(public acme).each do |site|
    nginx_site site do
      action :delete
    end
  end
end

jupyterhub_ready 'https://localhost/hub/health'
