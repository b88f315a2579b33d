#
# The registry, and its two doors: anybody reads on 443, the publisher writes on the push port.
#
include_recipe 'image_registry::image'

image_registry_service 'docker-registry' do
  port node['registry']['port']
  data_dir node['registry']['data_dir']
end

file ImageRegistry::PASSWORDS do
  content lazy { Hubfleet::Secrets.for(node).read('chef_server', 'registry_htpasswd') }
  owner 'root'
  group 'www-data'
  mode '0640'
  sensitive true
end

nginx_site 'registry' do
  server_names ["registry.#{node['fleet']['zone']}"]
  upstream "http://127.0.0.1:#{node['registry']['port']}"
  tls_directory node['tls']['directory']
  allowed_methods %w(GET HEAD)
  buffering false
end

# The password is asked for everything, the first ping included: a client that is not challenged
# there never sends it.
nginx_site 'registry-push' do
  server_names ["registry.#{node['fleet']['zone']}", 'localhost', '127.0.0.1']
  upstream "http://127.0.0.1:#{node['registry']['port']}"
  tls_directory node['tls']['directory']
  port node['registry']['push_port']
  default_server true
  basic_auth_file ImageRegistry::PASSWORDS
  max_body_size '0'
  request_buffering false
  read_timeout_s 300
  headers('Docker-Distribution-Api-Version' => 'registry/2.0')
end
