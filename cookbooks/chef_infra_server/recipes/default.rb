#
# An Infra Server in the place of the embedded Chef API: only in chef_server.mode 'install'.
#
return unless node['chef_server']['mode'] == 'install'

server = node['chef_server']
secrets = Hubfleet::Secrets.for(node)

chef_infra_server server['organization'] do
  package_name server['install']['package']
  package_version server['install']['version']
  source server['install']['source']
  sha256 server['install']['sha256']
  program server['install']['program']
  config_file server['install']['config_file']
  port server['install']['port']
  api_fqdn "chef.#{node['fleet']['zone']}"
  certificate_file "#{node['tls']['directory']}/server.crt"
  private_key_file "#{node['tls']['directory']}/server.key"
  operator_public_key lazy { secrets.read('chef_server', 'operator_public_key') }
  bootstrap_public_key lazy { secrets.read('chef_server', 'bootstrap_public_key') }
end
