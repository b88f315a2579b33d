require_relative '../../../spec/cookbooks_helper'
require_relative '../libraries/nginx'

describe 'nginx_site' do
  step_into :nginx_site
  platform 'debian', '13'

  before { allow(WebTls::Nginx).to receive(:stale?).and_return(stale) }

  let(:stale) { false }
  let(:site) { chef_run.template('/etc/nginx/sites-enabled/hub.conf') }
  let(:text) { ChefSpec::Renderer.new(chef_run, site).content }

  context 'with the least' do
    recipe do
      nginx_site 'hub' do
        server_names %w(hub.test localhost)
        upstream 'http://127.0.0.1:8000'
      end
    end

    it 'passes everything on over TLS, and what the client claims about itself is dropped' do
      expect(text).to include('listen 443 ssl;', 'server_name hub.test localhost;', 'server 127.0.0.1:8000;', 'proxy_set_header Host $http_host;',
                              'proxy_set_header X-Forwarded-For $remote_addr;', 'ssl_certificate /etc/hubfleet/tls/server.crt;')
      expect(text).to include('client_max_body_size 10m;', 'large_client_header_buffers 4 8k;')
      expect(text).not_to match(/client_header_timeout|Upgrade|auth_basic|return 405|Strict-Transport|access_log/)
    end

    it 'does not reload what is up to date' do
      expect(chef_run).not_to reload_service('nginx')
    end

    context 'when nginx runs with older files' do
      let(:stale) { true }

      it('reloads nginx') { expect(chef_run).to reload_service('nginx') }
    end
  end

  context 'with everything' do
    recipe do
      nginx_site 'hub' do
        server_names %w(hub.test)
        upstream 'http://127.0.0.1:8000'
        port 8443
        default_server true
        websockets true
        allowed_methods %w(GET HEAD)
        max_body_size '0'
        request_timeout_s 10
        header_buffers '2 4k'
        request_buffering false
        buffering false
        read_timeout_s 3600
        basic_auth_file '/etc/passwords'
        hsts true
        headers('X-Test' => 'yes')
        access_log false
      end
    end

    it 'says so' do
      expect(text).to include('listen 8443 ssl default_server;', 'proxy_set_header Upgrade $http_upgrade;', 'if ($request_method !~ ^(GET|HEAD)$)',
                              'return 405;', 'client_max_body_size 0;', 'large_client_header_buffers 2 4k;',
                              'client_header_timeout 10s;', 'client_body_timeout 10s;', 'proxy_request_buffering off;', 'proxy_buffering off;',
                              'proxy_read_timeout 3600s;', 'auth_basic_user_file /etc/passwords;', 'add_header X-Test "yes" always;',
                              'add_header Strict-Transport-Security "max-age=31536000" always;', 'access_log off;',
                              'proxy_set_header Authorization "";')
    end
  end

  { 'an upstream with a path' => { upstream: 'http://127.0.0.1:8000/x' }, 'no server name' => { server_names: [] },
    'a server name that ends the line' => { server_names: ['a; }'] } }.each do |wrong, values|
    context "with #{wrong}" do
      recipe do
        nginx_site 'hub' do
          server_names(values.fetch(:server_names, %w(hub.test)))
          upstream(values.fetch(:upstream, 'http://127.0.0.1:8000'))
        end
      end

      it('fails') { expect { chef_run }.to raise_error(Chef::Exceptions::ValidationFailed) }
    end
  end
end
