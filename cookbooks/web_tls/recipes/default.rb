#
# nginx with the node's certificate and no site: the cookbooks that serve something add theirs.
#
raise "tls.source '#{node['tls']['source']}' is not supported: use 'deployment_ca'" unless node['tls']['source'] == 'deployment_ca'

include_recipe 'web_tls::image'

web_tls_certificate 'server' do
  directory node['tls']['directory']
  certificate lazy { Hubfleet::Secrets.for(node).read(node.policy_name, 'tls_crt') }
  private_key lazy { Hubfleet::Secrets.for(node).read(node.policy_name, 'tls_key') }
end
