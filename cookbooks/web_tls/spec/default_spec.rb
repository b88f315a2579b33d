require_relative '../../../spec/cookbooks_helper'
require_relative '../libraries/nginx'

describe 'web_tls::default' do
  before { allow(WebTls::Nginx).to receive(:stale?).and_return(false) }

  let(:run) { runner_for('hub', step_into: 'web_tls_nginx').converge('web_tls::default') }

  it 'removes the default site before nginx can serve it' do
    expect(run).to delete_file('/etc/nginx/sites-enabled/default')
  end

  it 'serves TLS 1.2 and newer, and keeps its version and query strings to itself' do
    expect(run).to render_file('/etc/nginx/nginx.conf').with_content { |text|
      expect(text).to include('ssl_protocols TLSv1.2 TLSv1.3;', 'server_tokens off;', 'include /etc/nginx/sites-enabled/*.conf;')
      expect(text).not_to match(/\$request\b|\$request_uri|\$args/)
    }
  end

  it 'enables and starts nginx' do
    expect(run).to enable_service('nginx')
    expect(run).to start_service('nginx')
  end

  it 'installs the certificate of the role' do
    expect(run).to create_web_tls_certificate('server').with(directory: '/etc/hubfleet/tls')
  end

  it "keeps the deployment's certificate for a node's own names where a public one comes by ACME" do
    run = runner_for('chef_server') { |node| node.default['tls']['source'] = 'acme' }.converge('web_tls::default')
    expect(run).to create_web_tls_certificate('server')
    expect(run.find_resources(:web_tls_acme)).to be_empty
  end

  it 'refuses a source of certificates that it does not know' do
    runner = runner_for('hub') { |node| node.default['tls']['source'] = 'magic' }
    expect { runner.converge('web_tls::default') }.to raise_error(/tls.source 'magic'/)
  end
end
