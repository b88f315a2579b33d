require_relative '../../../spec/cookbooks_helper'
require_relative '../../node_base/libraries/secrets'
require_relative '../../node_base/libraries/unit'

describe 'chef_api::default' do
  before do
    allow_any_instance_of(Hubfleet::Secrets).to receive(:read) { |_secrets, role, name| "#{role}/#{name}" }
    allow_any_instance_of(Hubfleet::Unit).to receive(:older_than?).and_return(old)
  end

  let(:old) { false }
  let(:values) { role_attributes('chef_server') }
  let(:run) { runner_for('chef_server', step_into: 'chef_api_service').converge('chef_api::default') }

  it 'gives the service the values of the role' do
    expect(run).to create_file('/etc/hubfleet/chef-api/settings.json').with(content: satisfy { |text|
      settings = JSON.parse(text)
      values['chef_server'].slice('port', 'data_dir', 'clock_skew_s', 'organization').all? { |key, value| settings[key] == value }
    })
  end

  it 'knows an administrator, a validator and the controller, and no private key' do
    clients = JSON.parse(run.file('/etc/hubfleet/chef-api/settings.json').content)['clients']
    expect(clients.map { |client| client.values_at('name', 'admin', 'validator', 'controller') })
      .to eq([['operator', true, false, false], ['bootstrap', false, true, false], ['fleet', false, false, true]])
    expect(run).to create_file('/etc/hubfleet/chef-api/operator.pub').with(content: 'chef_server/operator_public_key')
  end

  it 'locks the service in' do
    expect(run).to create_systemd_unit('hubfleet-chef-api.service').with(content: satisfy { |unit|
      unit['Service'].values_at('NoNewPrivileges', 'ProtectSystem', 'CapabilityBoundingSet', 'User') == [true, 'strict', '', 'hubfleet-chef']
    })
  end

  it 'does not restart a service that is up to date' do
    expect(run).not_to restart_service('hubfleet-chef-api')
  end

  context 'when code or settings are newer than the process' do
    let(:old) { true }

    it('restarts it') { expect(run).to restart_service('hubfleet-chef-api') }
  end

  it 'is reached by its name and by the operator, over TLS' do
    expect(run).to create_nginx_site('chef').with(server_names: ["chef.#{values['fleet']['zone']}", 'localhost', '127.0.0.1'],
                                                  upstream: "http://127.0.0.1:#{values['chef_server']['port']}", default_server: true,
                                                  request_timeout_s: 10, max_body_size: '10m')
  end

  %w(install external).each do |mode|
    it "does nothing in mode #{mode}" do
      other = runner_for('chef_server', step_into: 'chef_api_service') { |node| node.default['chef_server']['mode'] = mode }
      expect(other.converge('chef_api::default').resource_collection.to_a).to be_empty
    end
  end
end
