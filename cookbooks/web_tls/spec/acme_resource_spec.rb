require_relative '../../../spec/cookbooks_helper'
require_relative '../libraries/nginx'
require_relative 'acme_context'

describe 'web_tls_acme' do
  step_into :web_tls_acme
  platform 'debian', '13'

  before do
    allow(WebTls::Nginx).to receive(:stale?).and_return(false)
    allow(WebTls::Acme).to receive(:new).and_return(acme)
    allow(Hubfleet::Secrets).to receive(:for)
    allow(File).to receive(:read).and_call_original
    allow(File).to receive(:read).with('/etc/hubfleet/tls/server.crt').and_return('the certificate of the node')
    allow(File).to receive(:read).with('/etc/hubfleet/tls/server.key').and_return('its key')
    allow(Chef::Log).to receive(:warn)
  end

  let(:acme) { instance_double(WebTls::Acme, problem: problem, due?: due, unkept?: unkept, kept: kept, renew!: nil, keep!: nil) }
  let(:problem) { nil }
  let(:due) { false }
  let(:unkept) { false }
  let(:kept) { nil }

  recipe do
    web_tls_acme 'hub.school.test' do
      directory 'https://acme.test/directory'
      role 'hub'
    end
  end

  it 'serves challenges on port 80, from a directory that the web server may read, and sends all else to TLS' do
    expect(chef_run).to create_directory('/var/lib/hubfleet/acme/challenges').with(owner: 'root', mode: '0755')
    expect(chef_run).to render_file('/etc/nginx/sites-enabled/acme.conf').with_content { |text|
      expect(text).to include('listen 80 default_server;', 'server_name hub.school.test;', 'alias /var/lib/hubfleet/acme/challenges/;', 'return 301 https://hub.school.test$request_uri;')
    }
  end

  it 'keeps the certificate with its key for root alone' do
    expect(chef_run).to create_directory('/var/lib/hubfleet/acme/hub').with(owner: 'root', mode: '0700')
  end

  it 'installs the client, and goes on without' do
    expect(chef_run).to install_package('dehydrated').with(ignore_failure: true)
  end

  it 'asks by the authority and for the name that it was told' do
    chef_run
    expect(WebTls::Acme).to have_received(:new).with(hash_including(role: 'hub', directory: 'https://acme.test/directory', names: %w(hub.school.test)))
  end

  context 'with no certificate, when none may be asked for' do
    it "installs the node's own, asks nothing and changes nothing" do
      expect(chef_run).to create_web_tls_certificate('public').with(certificate: 'the certificate of the node', private_key: 'its key', server_names: %w(hub.school.test))
      expect(acme).not_to have_received(:renew!)
      expect(acme).not_to have_received(:keep!)
      expect(chef_run.find_resource(:web_tls_acme, 'hub.school.test')).not_to be_updated_by_last_action
    end
  end

  context 'with a certificate that is kept' do
    let(:kept) { AcmeContext.kept }

    it 'installs it and asks nothing' do
      expect(chef_run).to create_web_tls_certificate('public').with(certificate: kept.certificate, private_key: kept.private_key)
      expect(acme).not_to have_received(:renew!)
    end
  end

  context 'when one is due' do
    let(:due) { true }

    it 'asks, after port 80 is served' do
      expect(chef_run).to create_template('/etc/nginx/sites-enabled/acme.conf')
      expect(acme).to have_received(:renew!)
      expect(chef_run.find_resource(:web_tls_acme, 'hub.school.test')).to be_updated_by_last_action
    end

    it 'survives a refusal, says it, and installs what there is' do
      allow(acme).to receive(:renew!).and_raise(WebTls::Acme::Failed, 'rateLimited; next try not before then')
      expect(chef_run).to create_web_tls_certificate('public').with(certificate: 'the certificate of the node')
      expect(Chef::Log).to have_received(:warn).with('rateLimited; next try not before then')
    end
  end

  context 'when the store lacks the certificate' do
    let(:unkept) { true }
    let(:kept) { AcmeContext.kept }

    it 'keeps it, and survives where it cannot' do
      allow(acme).to receive(:keep!).and_raise(WebTls::Acme::Failed, 'not kept')
      expect(chef_run).to create_web_tls_certificate('public').with(certificate: kept.certificate)
      expect(Chef::Log).to have_received(:warn).with('not kept')
    end
  end

  context 'when the store cannot be read' do
    let(:problem) { 'cannot read' }

    it 'says so' do
      chef_run
      expect(Chef::Log).to have_received(:warn).with('no certificate is asked for: cannot read')
    end
  end
end
