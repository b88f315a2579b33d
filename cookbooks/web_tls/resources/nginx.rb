provides :web_tls_nginx
resource_name :web_tls_nginx
unified_mode true

description 'Owns the configuration of nginx that is common to all sites and runs the service.'

property :instance_name, String,
         name_property: true,
         description: 'Any name; a node runs one nginx.'

action :create, description: 'Write nginx.conf, remove the default site of Debian, enable and start nginx.' do
  # A package that was just installed has started nginx with its own default site.
  %w(/etc/nginx/sites-enabled/default /etc/nginx/sites-available/default).each do |path|
    file path do
      action :delete
      manage_symlink_source false
    end
  end

  template WebTls::Nginx::MAIN do
    cookbook 'web_tls'
    source 'nginx.conf.erb'
    owner 'root'
    group 'root'
    mode '0644'
    variables(sites: WebTls::Nginx::SITES, pid: WebTls::Nginx::PID)
    verify { |path| WebTls::Nginx.check!(main: path) }
  end

  service 'nginx' do
    action %i(enable start)
  end

  service 'reload nginx' do
    service_name 'nginx'
    action :reload
    only_if { WebTls::Nginx.stale? }
  end
end
