provides :web_tls_acme
resource_name :web_tls_acme
unified_mode true

description 'Installs a certificate of an ACME authority (HTTP-01) for one public name. It is asked for when none is kept or the kept one ends soon; until it is there, and whenever it is not, another certificate of the node stands in. No failure of the authority fails the run.'

property :host, String,
         name_property: true,
         regex: /\A[a-z0-9-]+(\.[a-z0-9-]+)+\z/,
         description: 'Public name of this machine, under which port 80 is reached from the internet.'

property :certificate_name, String,
         default: 'public',
         regex: /\A[a-z0-9_-]+\z/,
         description: 'Name of the web_tls_certificate that is installed.'

property :stand_in, String,
         default: 'server',
         description: 'Name of the web_tls_certificate that is used until then; it must name the host.'

property :directory, String,
         required: true,
         regex: %r{\Ahttps://},
         description: "URL of the authority's directory."

property :email, String,
         default: '',
         description: 'Where the authority reaches the operator; empty: nowhere.'

property :role, String,
         default: lazy { node.policy_name },
         description: 'Role whose secrets acme_account and acme_certificate are.'

property :tls_directory, String,
         default: '/etc/hubfleet/tls',
         description: 'Directory of the certificates.'

property :state_directory, String,
         default: '/var/lib/hubfleet/acme',
         description: 'Holds state.json (last try, what came of it, next try) and what port 80 serves.'

action :create, description: 'Serve port 80, ask for a certificate if one is due, install the best there is.' do
  package WebTls::AcmeClient::PROGRAM do
    # Without it nothing is asked for, which is told below; the certificate that is there stays.
    ignore_failure true
  end

  prepare
  serve_challenges
  ask
  install
end

action_class do
  def acme
    @acme ||= WebTls::Acme.new(
      role: new_resource.role, directory: new_resource.directory, names: [new_resource.host],
      store: Hubfleet::Secrets.for(node), local: Hubfleet::Secrets.new('files', new_resource.state_directory),
      client: WebTls::AcmeClient.new(new_resource.directory, new_resource.email, challenges),
      tries: WebTls::AcmeTries.new("#{new_resource.state_directory}/state.json", 'directory' => new_resource.directory, 'host' => new_resource.host)
    )
  end

  def challenges
    "#{new_resource.state_directory}/challenges"
  end

  # nginx's user reads the challenges; the kept certificate, with its key, is root's.
  def prepare
    { new_resource.state_directory => '0755', challenges => '0755', "#{new_resource.state_directory}/#{new_resource.role}" => '0700' }.each do |path, mode|
      directory path do
        owner 'root'
        group 'root'
        mode mode
        recursive true
      end
    end
  end

  def serve_challenges
    template WebTls::Nginx.site_path('acme') do
      cookbook 'web_tls'
      source 'acme.conf.erb'
      owner 'root'
      group 'root'
      mode '0644'
      variables(host: new_resource.host, challenges: challenges, port: 80)
      verify { |path| WebTls::Nginx.check!(site: 'acme', candidate: path) }
    end

    service 'nginx' do
      action :reload
      only_if { WebTls::Nginx.stale?(new_resource.tls_directory) }
    end
  end

  def ask
    Chef::Log.warn("no certificate is asked for: #{acme.problem}") if acme.problem
    tolerate("ask #{new_resource.directory} for a certificate of #{new_resource.host}") { acme.renew! } if acme.due?
    tolerate("keep the certificate of #{new_resource.host}") { acme.keep! } if acme.unkept?
  end

  def tolerate(what)
    converge_by(what) do
      yield
    rescue WebTls::Acme::Failed => e
      Chef::Log.warn(e.message)
    end
  end

  def install
    found = acme.kept
    path = "#{new_resource.tls_directory}/#{new_resource.stand_in}"
    web_tls_certificate new_resource.certificate_name do
      directory new_resource.tls_directory
      certificate(found ? found.certificate : ::File.read("#{path}.crt"))
      private_key(found ? found.private_key : ::File.read("#{path}.key"))
      server_names [new_resource.host]
    end
  end
end
