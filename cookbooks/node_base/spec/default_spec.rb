require_relative '../../../spec/cookbooks_helper'
require_relative '../libraries/unit'
require_relative '../libraries/secrets'

describe 'node_base::default' do
  before do
    allow_any_instance_of(Hubfleet::Unit).to receive(:older_than?).and_return(old)
    allow(Chef::Config).to receive(:[]).and_call_original
    allow(Chef::Config).to receive(:[]).with(:local_mode).and_return(local_mode)
    allow(Chef::Config).to receive(:[]).with(:chef_server_url).and_return('https://chef.hubfleet.internal/organizations/hubfleet')
  end

  before do
    allow(Hubfleet::Secrets).to receive(:for).and_return(instance_double(Hubfleet::Secrets, read: bundle))
  end

  def certificate(name)
    key = OpenSSL::PKey::EC.generate('prime256v1')
    certificate = OpenSSL::X509::Certificate.new
    certificate.subject = certificate.issuer = OpenSSL::X509::Name.parse("/CN=#{name}")
    certificate.not_before = Time.now - 60
    certificate.not_after = Time.now + 60
    certificate.public_key = key
    certificate.sign(key, OpenSSL::Digest.new('SHA256')).to_pem
  end

  let(:bundle) { certificate('old') + certificate('new') }
  let(:local_mode) { false }
  let(:old) { false }
  let(:run) { runner_for('swarm_worker', step_into: 'node_base_client').converge('node_base::default') }
  let(:values) { role_attributes('swarm_worker')['chef_client'] }

  it 'owns client.rb: pinned CA, protocol 1.3, its own policy' do
    expect(run).to render_file('/etc/chef/client.rb').with_content { |text|
      expect(text).to include('node_name "i-0123456789abcdef0"', 'policy_name "swarm_worker"', 'policy_group "local"',
                              'chef_server_url "https://chef.hubfleet.internal/organizations/hubfleet"',
                              "authentication_protocol_version '1.3'", 'ssl_verify_mode :verify_peer',
                              'ssl_ca_file "/etc/chef/trusted_certs/hubfleet-ca.crt"')
    }
  end

  it 'writes a client.rb that chef-client can read' do
    text = ChefSpec::Renderer.new(run, run.template('/etc/chef/client.rb')).content
    config = Chef::Config.save
    Chef::Config.from_string(text, 'client.rb')
    expect([Chef::Config.ssl_verify_mode, Chef::Config.ohai.disabled_plugins, Chef::Config.data_collector.mode])
      .to match([:verify_peer, include(:EC2, :Packages), :solo])
  ensure
    Chef::Config.restore(config)
  end

  it 'trusts the authorities that the deployment names, both while one takes the place of the other' do
    expect(run).to create_directory('/etc/chef/trusted_certs').with(mode: '0755')
    expect(run).to create_file('/etc/chef/trusted_certs/hubfleet-ca.crt').with(content: bundle, mode: '0644')
  end

  context 'when the deployment names none' do
    let(:bundle) { "no certificate\n" }

    it('keeps what it trusts') { expect { run.file(NodeBase::CA_FILE).content }.to raise_error(/ca_crt holds no certificate/) }
  end

  it 'can change its own key' do
    expect(run).to create_cookbook_file('/usr/local/sbin/hubfleet-rotate-key').with(mode: '0755')
  end

  it 'runs chef-client on a timer with the interval and splay of the role' do
    expect(run).to create_systemd_unit('chef-client.timer').with(
      content: include('Timer' => include('OnUnitInactiveSec' => "#{values['interval_s']}s", 'RandomizedDelaySec' => "#{values['splay_s']}s",
                                          'FixedRandomDelay' => 'true'))
    )
    expect(run).to enable_systemd_unit('chef-client.timer')
    expect(run).to start_systemd_unit('chef-client.timer')
  end

  it 'skips the runs of the timer while the node is held' do
    expect(run).to create_systemd_unit('chef-client.service').with(
      content: include('Unit' => include('ConditionPathExists' => '!/var/lib/hubfleet/hold'))
    )
  end

  it 'does not start chef-client from within chef-client' do
    expect(run).not_to start_systemd_unit('chef-client.service')
  end

  it 'records this run and the ones to come' do
    expect(run).to create_cookbook_file('/usr/local/lib/hubfleet/converge_outcome.rb')
    expect(run).to create_cookbook_file('/usr/local/lib/hubfleet/converge_record.rb')
    expect(run).to enable_chef_handler('Hubfleet::ConvergeRecord')
  end

  it 'sees to it that a run which dies early is recorded' do
    expect(run).to create_cookbook_file('/usr/local/lib/hubfleet/converge_ended').with(mode: '0755')
    expect(run).to create_systemd_unit('chef-client.service').with(
      content: include('Service' => include('ExecStopPost' => '/usr/local/lib/hubfleet/converge_ended'))
    )
  end

  it 'lets a timer that is up to date run on' do
    expect(run).not_to restart_service('chef-client.timer')
  end

  context 'when the timer was changed' do
    let(:old) { true }

    it('restarts it') { expect(run).to restart_service('chef-client.timer') }
  end

  context 'in local mode' do
    let(:local_mode) { true }

    it 'leaves client.rb alone' do
      expect(run).not_to create_template('/etc/chef/client.rb')
    end
  end
end
