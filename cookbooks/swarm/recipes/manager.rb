#
# The manager: starts the swarm, its networks, and publishes the token that lets workers join.
#
swarm_manager 'manager' do
  advertise_addr lazy { Swarm::Addresses.ipv4_of(node['swarm']['interface']) }
  port node['swarm']['manager_port']
  default_addr_pool node['swarm']['default_addr_pool']
  subnet_size node['swarm']['default_addr_pool_mask']
end

node['swarm']['networks'].each do |name, network|
  swarm_network name do
    subnet network['subnet']
    internal network['internal']
  end
end

swarm_node 'this node' do
  host lazy { Socket.gethostname }
  labels('hubfleet.role' => 'hub')
end

swarm_join_token 'worker'
