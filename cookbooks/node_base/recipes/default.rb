#
# What every node has, first in every run list: the record of this run covers all that follows.
#
directory '/var/lib/hubfleet' do
  mode '0755'
end

birth_phase 'converging' do
  action :stamp
end

directory '/etc/hubfleet' do
  mode '0755'
end

directory ::File.dirname(NodeBase::CA_FILE) do
  mode '0755'
  recursive true
end

# Two authorities at once while the deployment's is being replaced.
file NodeBase::CA_FILE do
  content lazy { NodeBase.certificates!(Hubfleet::Secrets.for(node).read(node.policy_name, 'ca_crt')) }
  mode '0644'
end

cookbook_file '/usr/local/sbin/hubfleet-rotate-key' do
  source 'rotate_key.rb'
  mode '0755'
end

node_base_client 'chef-client' do
  interval_s node['chef_client']['interval_s']
  splay_s node['chef_client']['splay_s']
end
