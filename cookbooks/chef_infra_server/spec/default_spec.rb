require_relative '../../../spec/cookbooks_helper'
require_relative '../../node_base/libraries/secrets'
require_relative '../../web_tls/libraries/certificate'
require_relative '../libraries/infra_server'

describe 'chef_infra_server::default' do
  keys = %w(operator_public_key bootstrap_public_key).to_h { |name| [name, OpenSSL::PKey::RSA.new(2048).public_to_pem] }

  before do
    allow_any_instance_of(Hubfleet::Secrets).to receive(:read) { |_secrets, _role, name| keys.fetch(name) }
    allow_any_instance_of(ChefInfraServer::Ctl).to receive(:users) { users }
    allow_any_instance_of(ChefInfraServer::Ctl).to receive(:organizations) { organizations }
    allow_any_instance_of(ChefInfraServer::Ctl).to receive(:user_keys).with('operator') { user_keys }
    allow_any_instance_of(ChefInfraServer::Ctl).to receive(:client_keys).with('hubfleet', 'hubfleet-validator') { client_keys }
    allow(ChefInfraServer).to receive(:check_pair!)
    allow(ChefInfraServer).to receive_messages(installed_version: '15.10.27-1', package_of: 'cinc-server-core')
    allow(File).to receive(:file?).and_call_original
    allow(File).to receive(:file?).with(stamp).and_return(!reconfigured.nil?)
    allow(File).to receive(:read).and_call_original
    allow(File).to receive(:read).with(stamp).and_return(reconfigured)
  end

  let(:stamp) { '/var/lib/hubfleet/chef-infra-server/reconfigured' }
  let(:names) { keys.transform_values { |key| ChefInfraServer.key_name(key) } }
  let(:current) do
    ChefInfraServer.fingerprint(%w(/etc/cinc-project/chef-server.rb /etc/hubfleet/tls/server.crt /etc/hubfleet/tls/server.key), '15.10.27-1')
  end
  # A new machine; the context below is one that is as it should be.
  let(:users) { %w(pivotal operators) }
  let(:organizations) { %w(hubfleet2) }
  let(:user_keys) { %w(default) }
  let(:client_keys) { %w(default) }
  let(:reconfigured) { nil }
  let(:install) { { 'package' => 'cinc-server-core', 'version' => '15.10.27-1' } }
  let(:runner) do
    runner_for('chef_server', step_into: 'chef_infra_server') do |node|
      node.default['chef_server']['mode'] = 'install'
      node.default['chef_server']['install'] = node['chef_server']['install'].to_h.merge(install)
    end
  end
  let(:run) { runner.converge('chef_infra_server::default') }

  def commands
    run.find_resources(:execute).map(&:command)
  end

  it 'writes a configuration with our certificate, a port that nginx leaves free, and no plain HTTP' do
    expect(run).to render_file('/etc/cinc-project/chef-server.rb').with_content { |text|
      expect(text.lines(chomp: true)).to include(
        'api_fqdn "chef.hubfleet.internal"', "nginx['ssl_port'] = 8444", "nginx['non_ssl_port'] = false",
        %(nginx['ssl_certificate'] = "/etc/hubfleet/tls/server.crt"), %(nginx['ssl_certificate_key'] = "/etc/hubfleet/tls/server.key"),
        "nginx['ssl_protocols'] = 'TLSv1.2 TLSv1.3'", 'insecure_addon_compat false'
      )
    }
  end

  it 'writes a configuration that is Ruby' do
    text = ChefSpec::Renderer.new(run, run.template('/etc/cinc-project/chef-server.rb')).content
    expect { RubyVM::InstructionSequence.compile(text) }.not_to raise_error
  end

  it 'installs the package that the attributes name' do
    expect(run).to install_package('cinc-server-core').with(version: '15.10.27-1')
  end

  it 'sets a new machine up, in this order, without a shell' do
    expect(commands).to match(
      [
        %w(cinc-server-ctl reconfigure), %w(cinc-server-ctl restart nginx),
        ['cinc-server-ctl', 'user-create', 'operator', 'operator', 'hubfleet', 'operator@chef.hubfleet.internal', /\A\h{32}\z/, '--filename',
         '/run/hubfleet-chef-infra-server/user.pem'],
        ['cinc-server-ctl', 'org-create', 'hubfleet', 'hubfleet', '--association_user', 'operator', '--filename',
         '/run/hubfleet-chef-infra-server/validator.pem'],
        ['cinc-server-ctl', 'add-user-key', 'operator', '--public-key-path', '/var/lib/hubfleet/chef-infra-server/operator.pub', '--key-name',
         names['operator_public_key']],
        %w(cinc-server-ctl delete-user-key operator default),
        ['cinc-server-ctl', 'add-client-key', 'hubfleet', 'hubfleet-validator', '--public-key-path',
         '/var/lib/hubfleet/chef-infra-server/bootstrap.pub', '--key-name', names['bootstrap_public_key']],
        %w(cinc-server-ctl delete-client-key hubfleet hubfleet-validator default)
      ]
    )
  end

  it 'remembers what it has configured' do
    expect(run).to create_file(stamp).with(content: current)
  end

  it 'shows no password, and keeps no private key that the server made' do
    made = run.find_resources(:execute).select { |resource| resource.command.include?('--filename') }
    expect(made.map(&:sensitive)).to eq([true, true])
    expect(run).to create_directory('/run/hubfleet-chef-infra-server').with(mode: '0700')
    expect(run).to delete_directory('/run/hubfleet-chef-infra-server').with(recursive: true)
  end

  it 'gives the server the public keys of the secrets' do
    expect(run).to create_file('/var/lib/hubfleet/chef-infra-server/operator.pub').with(content: keys['operator_public_key'])
    expect(run).to create_file('/var/lib/hubfleet/chef-infra-server/bootstrap.pub').with(content: keys['bootstrap_public_key'])
  end

  context 'when everything is there' do
    let(:users) { %w(pivotal operator) }
    let(:organizations) { %w(hubfleet) }
    let(:user_keys) { [names['operator_public_key']] }
    let(:client_keys) { [names['bootstrap_public_key']] }
    let(:reconfigured) { current }

    it('runs no command') { expect(commands).to eq([]) }

    context 'but the operator has a new key' do
      let(:user_keys) { %w(hubfleet-0123456789abcdef) }

      it 'adds it before it deletes the old one' do
        expect(commands.map { |command| command[1] }).to eq(%w(add-user-key delete-user-key))
        expect(commands.last.last).to eq('hubfleet-0123456789abcdef')
      end
    end

    context 'but the validator has a key more' do
      let(:client_keys) { [names['bootstrap_public_key'], 'default'] }

      it('deletes that one') { expect(commands).to eq([%w(cinc-server-ctl delete-client-key hubfleet hubfleet-validator default)]) }
    end

    context 'but configuration, certificate or package are newer' do
      let(:reconfigured) { 'something else' }

      it('reconfigures, and nothing else') { expect(commands).to eq([%w(cinc-server-ctl reconfigure), %w(cinc-server-ctl restart nginx)]) }
    end
  end

  context 'with a file instead of a package' do
    let(:install) { { 'source' => 'https://packages.example.org/cinc-server-core_15.deb', 'sha256' => 'a' * 64 } }

    it 'downloads it, checks it, and installs it under its own name' do
      run
      archive = "#{Chef::Config[:file_cache_path]}/cinc-server-core_15.deb"
      expect(run).to create_remote_file(archive).with(source: ['https://packages.example.org/cinc-server-core_15.deb'], checksum: 'a' * 64)
      expect(run).to install_dpkg_package('cinc-server-core').with(source: archive)
    end
  end

  context 'with a file of the machine itself' do
    let(:install) { { 'source' => '/srv/cinc.deb', 'sha256' => 'a' * 64 } }

    it 'reads it there' do
      run
      expect(run).to create_remote_file("#{Chef::Config[:file_cache_path]}/cinc.deb").with(source: ['file:///srv/cinc.deb'])
    end
  end

  { 'nothing' => {}, 'both' => { 'package' => 'a', 'source' => '/b.deb', 'sha256' => 'a' * 64 } }.each do |what, values|
    context "when #{what} says what to install" do
      let(:install) { values }

      it('stops before anything') { expect { run }.to raise_error(ChefInfraServer::Invalid, /either package_name or source/) }
    end
  end

  context 'with a file that nothing vouches for' do
    let(:install) { { 'source' => 'https://packages.example.org/x.deb' } }

    it('stops') { expect { run }.to raise_error(ChefInfraServer::Invalid, /sha256/) }
  end

  %w(embedded external).each do |mode|
    it "does nothing in mode #{mode}" do
      other = runner_for('chef_server', step_into: 'chef_infra_server') { |node| node.default['chef_server']['mode'] = mode }
      expect(other.converge('chef_infra_server::default').resource_collection.to_a).to be_empty
    end
  end
end
