provides :image_registry_service
resource_name :image_registry_service
unified_mode true

description 'Runs the docker-registry of the distribution on the loopback address. nginx in front decides who may write.'

property :instance_name, String,
         name_property: true,
         description: 'Any name; a node runs one registry.'

property :port, Integer,
         default: 5000,
         description: 'Port on 127.0.0.1.'

property :data_dir, String,
         default: '/var/lib/hubfleet-registry',
         description: 'Where images lie.'

property :user, String,
         default: 'docker-registry',
         description: 'User of the service, made by the package.'

action :create, description: 'Configure, enable and start the registry; restart when its configuration is newer.' do
  directory new_resource.data_dir do
    owner new_resource.user
    group new_resource.user
    mode '0750'
  end

  template ImageRegistry::CONFIG do
    cookbook 'image_registry'
    source 'config.yml.erb'
    owner 'root'
    group 'root'
    mode '0644'
    variables(port: new_resource.port, data_dir: new_resource.data_dir)
  end

  service 'docker-registry' do
    action %i(enable start)
  end

  service 'restart docker-registry' do
    service_name 'docker-registry'
    action :restart
    only_if { Hubfleet::Unit.new('docker-registry').older_than?([ImageRegistry::CONFIG]) }
  end
end
