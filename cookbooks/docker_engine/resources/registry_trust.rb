provides :engine_registry_trust
resource_name :engine_registry_trust
unified_mode true

description "Makes the engine trust a registry's certificate authority; read at each pull, no restart."

property :registry, String,
         name_property: true,
         regex: /\A[a-z0-9.-]+(:\d+)?\z/,
         description: 'Host, with port unless it is 443.'

property :ca_file, String,
         default: '/etc/chef/trusted_certs/hubfleet-ca.crt',
         description: 'Certificate of the authority on this node.'

action :create, description: 'Install the certificate for the registry.' do
  raise "#{new_resource.ca_file} is missing: the bootstrap installs the deployment's CA there" unless ::File.exist?(new_resource.ca_file)

  directory "/etc/docker/certs.d/#{new_resource.registry}" do
    owner 'root'
    group 'root'
    mode '0755'
    recursive true
  end

  file "/etc/docker/certs.d/#{new_resource.registry}/ca.crt" do
    content ::File.read(new_resource.ca_file)
    owner 'root'
    group 'root'
    mode '0644'
  end
end
