provides :nginx_site
resource_name :nginx_site
unified_mode true

description 'Owns one TLS reverse proxy of nginx as a whole file, tested before it is put in place.'

property :site_name, String,
         name_property: true,
         regex: /\A[a-z0-9_-]+\z/,
         description: 'Name of the file in sites-enabled, without .conf.'

property :server_names, Array,
         required: [:create],
         callbacks: { 'must name at least one host' => ->(names) { names.any? && names.all? { |n| n.match?(/\A[A-Za-z0-9.*-]+\z/) } } },
         description: 'Host names of the site; the certificate must cover each.'

property :upstream, String,
         required: [:create],
         regex: %r{\Ahttp://[A-Za-z0-9.:-]+\z},
         description: 'The service behind, without a path.'

property :port, Integer,
         default: 443,
         description: 'TLS port to listen on.'

property :default_server, [true, false],
         default: false,
         description: 'Answer for names that no site has.'

property :certificate, String,
         default: 'server',
         description: 'Name of the web_tls_certificate to use.'

property :tls_directory, String,
         default: '/etc/hubfleet/tls',
         description: 'Directory of the certificates.'

property :websockets, [true, false],
         default: false,
         description: 'Pass on protocol upgrades.'

property :allowed_methods, Array,
         default: [],
         description: 'The only methods allowed (405 for others); empty: all.'

property :max_body_size, String,
         default: '10m',
         regex: /\A\d+[km]?\z/,
         description: 'Largest request body; 0: no limit.'

property :request_timeout_s, Integer,
         description: 'Seconds for the header of a request, and of silence within its body; unset: as in nginx.conf.'

property :header_buffers, String,
         default: '4 8k',
         regex: /\A\d+ \d+k\z/,
         description: 'Number and size of buffers for long header lines: what does not fit is refused.'

property :request_buffering, [true, false],
         default: true,
         description: 'Read a request whole before passing it on.'

property :buffering, [true, false],
         default: true,
         description: 'Read an answer whole before passing it on.'

property :read_timeout_s, Integer,
         default: 60,
         description: 'Seconds of silence tolerated from the service or the client.'

property :basic_auth_file, String,
         description: 'htpasswd file; with it every request needs a password.'

property :hsts, [true, false],
         default: false,
         description: 'Tell browsers to use https for this host for a year.'

property :headers, Hash,
         default: {},
         description: 'Further headers on every answer.'

property :access_log, [true, false],
         default: true,
         description: 'Log each request, without its query string, to the journal.'

action :create, description: 'Write the site, test it, reload nginx.' do
  template WebTls::Nginx.site_path(new_resource.site_name) do
    cookbook 'web_tls'
    source 'site.conf.erb'
    owner 'root'
    group 'root'
    mode '0644'
    variables(
      site: new_resource,
      certificate: "#{new_resource.tls_directory}/#{new_resource.certificate}",
      headers: answer_headers
    )
    verify do |path|
      WebTls::Certificate.new(::File.read("#{new_resource.tls_directory}/#{new_resource.certificate}.crt"))
                         .check!(server_names: new_resource.server_names)
      WebTls::Nginx.check!(site: new_resource.site_name, candidate: path)
    end
  end

  reload_if_stale
end

action :delete, description: 'Remove the site and reload nginx.' do
  service 'nginx' do
    action :nothing
  end

  file WebTls::Nginx.site_path(new_resource.site_name) do
    action :delete
    notifies :reload, 'service[nginx]', :immediately
  end
end

action_class do
  # Not a notification: a run that dies after writing would lose it, and nginx would keep the old
  # configuration for ever.
  def reload_if_stale
    service 'nginx' do
      action :reload
      only_if { WebTls::Nginx.stale?(new_resource.tls_directory) }
    end
  end

  def answer_headers
    headers = { 'X-Content-Type-Options' => 'nosniff' }
    headers['Strict-Transport-Security'] = 'max-age=31536000' if new_resource.hsts
    headers.merge(new_resource.headers)
  end
end
