#
# What a machine image holds of the engine: its packages and its configuration.
#
package %w(docker.io docker-cli)

engine_config DockerEngine::Config::PATH do
  settings lazy {
    {
      'default-address-pools' => [{ 'base' => node['docker']['address_pool']['base'], 'size' => node['docker']['address_pool']['size'] }],
      # Swarm mode refuses an engine with live-restore.
      'live-restore' => false,
      **DockerEngine::Logs.settings(node),
      # What the Swarm's scheduler counts: a student's server takes one. The manager's are never taken,
      # since servers are placed on workers only.
      'node-generic-resources' => ["seat=#{node['fleet']['workers']['seats']}"],
      'no-new-privileges' => node['docker']['no_new_privileges'],
    }
  }
end

if Hubfleet::Registry.aws?(node)
  # A login lasts twelve hours; the helper asks for a new one with the machine's role.
  package 'amazon-ecr-credential-helper'

  directory '/root/.docker' do
    mode '0700'
  end

  file '/root/.docker/config.json' do
    content lazy { "#{JSON.generate('credHelpers' => { Hubfleet::Registry.host(node) => 'ecr-login' })}\n" }
    mode '0600'
  end
end
