#
# The last step of a worker: what is in the swarm can take students.
#
birth_phase 'joining' do
  action :stamp
end

swarm_member 'worker' do
  managers ["hub.#{node['fleet']['zone']}:#{node['swarm']['manager_port']}"]
  advertise_addr lazy { Swarm::Addresses.ipv4_of(node['swarm']['interface']) }
  port node['swarm']['manager_port']
  deadline_s node['swarm']['join_deadline_s']
end

# Not at once: the run ends here and saves the node, and a server refuses two equal writes in a second.
birth_phase 'joined' do
  at_once false
  action :stamp
end
