#
# nginx with the node's certificate and no site: the cookbooks that serve something add theirs.
#
# Whatever tls.source says, a node's own names are the deployment's; a public name has a
# certificate of its own beside this one (web_tls_acme).
#
unless %w(deployment_ca acme).include?(node['tls']['source'])
  raise "tls.source '#{node['tls']['source']}' is not supported: use 'deployment_ca' or 'acme'"
end

include_recipe 'web_tls::image'

web_tls_certificate 'server' do
  directory node['tls']['directory']
  certificate lazy { Hubfleet::Secrets.for(node).read(node.policy_name, 'tls_crt') }
  private_key lazy { Hubfleet::Secrets.for(node).read(node.policy_name, 'tls_key') }
end
