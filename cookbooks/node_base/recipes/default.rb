#
# What every node has, first in every run list: the record of this run covers all that follows.
#
directory '/var/lib/hubfleet' do
  mode '0755'
end

directory '/etc/hubfleet' do
  mode '0755'
end

node_base_client 'chef-client' do
  interval_s node['chef_client']['interval_s']
  splay_s node['chef_client']['splay_s']
end
