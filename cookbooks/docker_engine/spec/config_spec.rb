require 'tmpdir'
require_relative '../../../spec/cookbooks_helper'
require_relative '../libraries/engine_load'
require_relative '../../node_base/libraries/unit'

describe 'engine_config' do
  step_into :engine_config
  platform 'debian', '13'

  recipe do
    engine_config '/etc/docker/daemon.json' do
      settings('live-restore' => false)
    end
  end

  let(:stale) { false }
  let(:busy) { [] }
  let(:started) { true }
  let(:commands) { [] }

  before do
    allow_any_instance_of(Hubfleet::Unit).to receive(:older_than?).with(['/etc/docker/daemon.json']) { stale }
    allow(DockerEngine::Load).to receive(:names) { busy }
    stubs_for_provider('engine_config[/etc/docker/daemon.json]') do |provider|
      allow(provider).to receive(:shell_out_compacted) do |*argv|
        commands << argv.take_while { |item| item.is_a?(String) }
        failed = commands.last == %w(systemctl restart docker.service) && !started
        double(error?: failed, stdout: "failed to start daemon: invalid pools size: 3\n", error!: nil)
      end
    end
  end

  it 'owns the whole file and runs the service' do
    expect(chef_run).to create_file('/etc/docker/daemon.json').with(content: "{\n  \"live-restore\": false\n}\n", mode: '0644')
    expect(chef_run).to enable_service('docker')
    expect(chef_run).to start_service('docker')
  end

  it 'does not restart an engine that has read the file' do
    chef_run
    expect(commands).to be_empty
    expect(chef_run).to delete_file('/var/lib/hubfleet/docker-restart-pending')
  end

  context 'with an idle engine that runs with an older file' do
    let(:stale) { true }

    it 'restarts it' do
      chef_run
      expect(commands).to eq([%w(systemctl restart docker.service)])
    end

    context 'when it does not start again' do
      let(:started) { false }

      it 'says what the engine said' do
        expect { chef_run }.to raise_error(/there is no previous one to go back to: failed to start daemon: invalid pools size: 3/)
      end

      it 'goes back to the file it ran with' do
        allow(File).to receive(:exist?).and_call_original
        allow(File).to receive(:exist?).with('/var/lib/hubfleet/daemon.json.last-good').and_return(true)
        expect(FileUtils).to receive(:cp).with('/var/lib/hubfleet/daemon.json.last-good', '/etc/docker/daemon.json')
        expect { chef_run }.to raise_error(/runs with the previous one again/)
        expect(commands.last(2)).to eq([%w(systemctl reset-failed docker.service), %w(systemctl start docker.service)])
      end
    end
  end

  context 'with a busy engine that runs with an older file' do
    let(:stale) { true }
    let(:busy) { ['jupyter-ann.1.y'] }

    it 'leaves it alone, says why and leaves a marker' do
      expect(Chef::Log).to receive(:warn).with(/until these end: jupyter-ann.1.y/)
      expect(chef_run).to create_file('/var/lib/hubfleet/docker-restart-pending')
      expect(commands).to be_empty
    end
  end
end
