provides :jupyterhub_ready
resource_name :jupyterhub_ready
unified_mode true

description 'Waits until the hub answers over TLS, through nginx and proxy. Changes nothing; raises when the time is over.'

property :url, String,
         name_property: true,
         regex: %r{\Ahttps://},
         description: 'What must answer 200.'

property :ca_file, String,
         default: '/etc/chef/trusted_certs/hubfleet-ca.crt',
         description: 'Authority that must have signed the certificate.'

property :deadline_s, Integer,
         default: 120,
         description: 'Seconds to wait.'

action :wait, description: 'Wait until the hub answers.' do
  health = JupyterhubStack::Health.new(new_resource.url, new_resource.ca_file)
  unless Swarm::Deadline.new(new_resource.deadline_s).wait { health.ok? }
    raise "#{new_resource.url} did not answer 200 within #{new_resource.deadline_s} s (#{health.last}): see `docker service logs #{JupyterhubStack::NAME}_hub`"
  end
end
