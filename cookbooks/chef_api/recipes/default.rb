#
# The embedded Chef API behind nginx, with the clients that a deployment starts from; nothing in the
# other modes, in which the server is another one.
#
return unless node['chef_server']['mode'] == 'embedded'

secrets = Hubfleet::Secrets.for(node)

chef_api_service node['chef_server']['organization'] do
  port node['chef_server']['port']
  data_dir node['chef_server']['data_dir']
  clock_skew_s node['chef_server']['clock_skew_s']
  clients(
    lazy do
      {
        'operator' => { public_key: secrets.read('chef_server', 'operator_public_key'), admin: true },
        'bootstrap' => { public_key: secrets.read('chef_server', 'bootstrap_public_key'), validator: true },
        'fleet' => { public_key: secrets.read('chef_server', 'fleet_public_key'), controller: true },
      }
    end
  )
end

nginx_site 'chef' do
  server_names ["chef.#{node['fleet']['zone']}", 'localhost', '127.0.0.1']
  upstream "http://127.0.0.1:#{node['chef_server']['port']}"
  tls_directory node['tls']['directory']
  default_server true
  request_timeout_s 10
  access_log false
end
