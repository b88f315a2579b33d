require_relative '../../../spec/cookbooks_helper'
require_relative '../../node_base/libraries/registry'

describe 'docker_engine::default' do
  let(:run) { runner_for('swarm_worker').converge('docker_engine::default') }
  let(:seats) { CookbooksHelper.role_attributes('swarm_worker')['fleet']['workers']['seats'] }
  let(:docker) { CookbooksHelper.role_attributes('swarm_worker')['docker'] }

  it 'trusts the registry before anything is pulled' do
    expect(run).to create_engine_registry_trust('registry.hubfleet.internal')
  end

  it 'takes the engine from the policy' do
    expect(run).to create_engine_config('/etc/docker/daemon.json').with(
      settings: {
        'default-address-pools' => [docker['address_pool']],
        'live-restore' => false,
        'log-driver' => 'json-file',
        'log-opts' => { 'max-file' => docker['log_max_files'].to_s, 'max-size' => docker['log_max_size'] },
        'node-generic-resources' => ["seat=#{seats}"],
        'no-new-privileges' => docker['no_new_privileges'],
      }
    )
  end

  it 'has no CloudWatch to write logs to where there is no AWS' do
    local = runner_for('swarm_worker') { |node| node.default['docker']['log_driver'] = 'awslogs' }.converge('docker_engine::default')
    expect { local.find_resource(:engine_config, '/etc/docker/daemon.json').settings }.to raise_error(/needs fleet.backend aws/)
  end

  it 'needs no credentials for the registry of the deployment' do
    expect(run).not_to create_file('/root/.docker/config.json')
  end

  context 'on AWS' do
    let(:run) { runner_for('swarm_worker', environment: 'production').converge('docker_engine::default') }

    before do
      facts = { 'registry' => '000000000000.dkr.ecr.xx-test-1.amazonaws.com/hubfleet-production' }
      allow(File).to receive(:read).and_call_original
      allow(File).to receive(:read).with(Hubfleet::Registry::FACTS).and_return(JSON.generate(facts))
    end

    it "logs in with the machine's role, again and again, and keeps no password" do
      expect(run).to create_file('/root/.docker/config.json').with(
        content: %({"credHelpers":{"000000000000.dkr.ecr.xx-test-1.amazonaws.com":"ecr-login"}}\n), mode: '0600'
      )
      expect(run).to install_package('amazon-ecr-credential-helper')
    end

    context 'with logs in CloudWatch' do
      let(:facts) { { 'region' => 'xx-test-1', 'log_group' => '/hubfleet/production/swarm_worker' } }
      let(:registry) { { 'registry' => '000000000000.dkr.ecr.xx-test-1.amazonaws.com/hubfleet-production' } }
      let(:run) { runner_for('swarm_worker', environment: 'production') { |node| node.default['docker']['log_driver'] = 'awslogs' }.converge('docker_engine::default') }
      let(:settings) { run.find_resource(:engine_config, '/etc/docker/daemon.json').settings }

      before { allow(File).to receive(:read).with(Hubfleet::Registry::FACTS).and_return(JSON.generate(registry.merge(facts))) }

      it "writes to the group of the machine's role, and waits for nobody" do
        expect(settings).to include(
          'log-driver' => 'awslogs',
          'log-opts' => { 'awslogs-group' => '/hubfleet/production/swarm_worker', 'awslogs-region' => 'xx-test-1', 'mode' => 'non-blocking', 'tag' => '{{.Name}}' }
        )
      end

      context 'where an image is made' do
        let(:facts) { {} }

        it('writes to files until the machine knows its group') { expect(settings).to include('log-driver' => 'json-file') }
      end

      context 'with a group that is malformed' do
        let(:facts) { { 'region' => 'xx-test-1', 'log_group' => 'x' } }

        it('stops') { expect { settings }.to raise_error(/log_group is malformed/) }
      end
    end

    it "does not take the deployment's authority for ECR's" do
      expect(run.find_resource(:engine_registry_trust, 'registry.hubfleet.internal')).to be_nil
    end
  end
end

describe 'docker_engine::image' do
  # No secret, no authority, no peer: there is none where an image is made.
  it 'holds the packages and the configuration, and nothing else' do
    run = runner_for('swarm_worker').converge('docker_engine::image')
    expect(run.resource_collection.map(&:declared_type)).to eq(%i(package engine_config))
  end
end

describe 'engine_registry_trust' do
  step_into :engine_registry_trust
  platform 'debian', '13'
  recipe { engine_registry_trust 'registry.test:5443' }

  before do
    allow(File).to receive(:exist?).and_call_original
    allow(File).to receive(:read).and_call_original
  end

  it "installs the deployment's CA for the registry" do
    allow(File).to receive(:exist?).with('/etc/chef/trusted_certs/hubfleet-ca.crt').and_return(true)
    allow(File).to receive(:read).with('/etc/chef/trusted_certs/hubfleet-ca.crt').and_return('PEM')
    expect(chef_run).to create_file('/etc/docker/certs.d/registry.test:5443/ca.crt').with(content: 'PEM')
  end

  it 'says what is missing' do
    allow(File).to receive(:exist?).with('/etc/chef/trusted_certs/hubfleet-ca.crt').and_return(false)
    expect { chef_run }.to raise_error(%r{/etc/chef/trusted_certs/hubfleet-ca.crt is missing})
  end
end
