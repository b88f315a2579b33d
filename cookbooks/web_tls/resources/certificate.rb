provides :web_tls_certificate
resource_name :web_tls_certificate
unified_mode true

description 'Installs a certificate and its private key for nginx, after checking that they belong together, are valid now and cover the names to be served.'

property :certificate_name, String,
         name_property: true,
         regex: /\A[a-z0-9_-]+\z/,
         description: 'Name of the files: NAME.crt and NAME.key.'

property :directory, String,
         default: '/etc/hubfleet/tls',
         description: 'Directory that holds the files; readable by root alone.'

property :certificate, String,
         required: true,
         description: 'Certificate in PEM, followed by its intermediates.'

property :private_key, String,
         required: true,
         sensitive: true,
         description: 'Private key in PEM.'

property :server_names, Array,
         default: [],
         description: 'Names the certificate must cover.'

action :create, description: 'Write both files and reload nginx if it runs with older ones.' do
  WebTls::Certificate.new(new_resource.certificate).check!(
    private_key: new_resource.private_key,
    server_names: new_resource.server_names
  )

  directory new_resource.directory do
    owner 'root'
    group 'root'
    mode '0700'
    recursive true
  end

  file "#{new_resource.directory}/#{new_resource.certificate_name}.key" do
    content new_resource.private_key
    owner 'root'
    group 'root'
    mode '0600'
    sensitive true
  end

  file "#{new_resource.directory}/#{new_resource.certificate_name}.crt" do
    content new_resource.certificate
    owner 'root'
    group 'root'
    mode '0644'
  end

  service 'nginx' do
    action :reload
    only_if { WebTls::Nginx.stale?(new_resource.directory) }
  end
end
