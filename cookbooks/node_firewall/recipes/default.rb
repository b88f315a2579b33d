#
# Isolation on every node with an engine.
#
node_firewall node.policy_name == 'hub' ? 'hub' : 'worker' do
  interface node['swarm']['interface']
  api_port node['hub']['api_port']
  proxy_port node['hub']['port']
  egress node['notebook']['egress']
  overlay_guard node['firewall']['overlay_guard']
  action node['firewall']['enabled'] ? :enable : :disable
end
