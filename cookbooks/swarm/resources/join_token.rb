provides :swarm_join_token
resource_name :swarm_join_token
unified_mode true

description 'Publishes the join token of the swarm that this node manages as a secret.'

property :node_role, String,
         name_property: true,
         equal_to: %w(worker manager),
         description: 'What a node becomes with the token.'

property :secret_role, String,
         default: 'swarm_worker',
         description: 'Role whose nodes may read the secret.'

property :secret_name, String,
         default: 'join_token',
         description: 'Name of the secret.'

action :publish, description: 'Write the token where it differs from the published one.' do
  store = Hubfleet::Secrets.for(node)
  token = Swarm::Engine.new.join_token(new_resource.node_role)
  published = store.exist?(new_resource.secret_role, new_resource.secret_name) && store.read(new_resource.secret_role, new_resource.secret_name)
  unless published == token
    converge_by("publish the join token for #{new_resource.node_role}s") do
      store.write(new_resource.secret_role, new_resource.secret_name, token)
    end
  end
end
