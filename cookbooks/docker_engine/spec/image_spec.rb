require_relative '../../../spec/cookbooks_helper'
require_relative 'fake_engine'

describe 'engine_image' do
  step_into :engine_image
  platform 'debian', '13'

  let(:reference) { 'r.test/hubfleet/notebook:1' }
  let(:present) { false }
  let(:pulls) { [true] }
  let(:commands) { [] }

  def result(ok, stderr = '', stdout = '')
    double(error?: !ok, stderr: stderr, stdout: stdout, error!: nil)
  end

  before do
    stubs_for_current_value("engine_image[#{reference}]") do |resource|
      allow(resource).to receive(:shell_out).with('docker', 'image', 'inspect', '--format', '{{.Id}}', reference) { result(present, '', "sha256:1\n") }
    end
    stubs_for_provider("engine_image[#{reference}]") do |provider|
      allow(provider).to receive(:sleep)
      allow(provider).to receive(:shell_out_compacted) do |*argv|
        commands << argv.take_while { |item| item.is_a?(String) }
        case commands.last[0..1]
        when %w(df --output=avail) then result(true, '', "Avail\n 100\n")
        when %w(docker pull) then pulls.shift.then { |outcome| outcome == true ? result(true) : result(false, outcome) }
        else result(true)
        end
      end
    end
  end

  context 'to pull' do
    recipe do
      engine_image 'r.test/hubfleet/notebook:1' do
        attempts 2
      end
    end

    it 'pulls what is absent' do
      expect(chef_run).to pull_engine_image(reference)
      expect(commands).to eq([['docker', 'pull', '--quiet', reference]])
    end

    context 'when it is there' do
      let(:present) { true }

      it 'asks nobody' do
        chef_run
        expect(commands).to be_empty
      end
    end

    context 'when the registry is not up yet' do
      let(:pulls) { ['connection refused', true] }

      it 'tries again' do
        chef_run
        expect(commands.length).to eq(2)
      end
    end

    context 'when the registry stays silent' do
      let(:pulls) { ['connection refused', 'connection refused'] }

      it('gives up with its last word') { expect { chef_run }.to raise_error(/cannot pull #{reference}, 2 attempts: connection refused/) }
    end

    context 'when the registry does not hold it' do
      let(:pulls) { ['manifest unknown'] }

      it 'says so at once' do
        expect { chef_run }.to raise_error(/the registry does not hold #{reference}: push it/)
        expect(commands.length).to eq(1)
      end
    end
  end

  context 'with too little room' do
    recipe do
      engine_image 'r.test/hubfleet/notebook:1' do
        min_free_mb 2000
      end
    end

    it 'does not start to pull' do
      expect { chef_run }.to raise_error(%r{/var/lib/docker has 100 MiB free, .* needs 2000})
      expect(commands).to eq([%w(df --output=avail --block-size=1M /var/lib/docker)])
    end
  end

  context 'to prune' do
    recipe do
      engine_image 'r.test/hubfleet/notebook:1' do
        action :prune
      end
    end

    it 'removes the tags nobody needs' do
      api = FakeEngine.new('GET /images/json' => [{ 'Id' => 'i0', 'RepoTags' => ['r.test/hubfleet/notebook:0'] }], 'GET /containers/json' => [])
      allow(DockerEngine::Api).to receive(:new).and_return(api)
      chef_run
      expect(api.requests).to eq([['GET /images/json', { 'filters' => { 'reference' => ['r.test/hubfleet/notebook:*'] } }], ['GET /containers/json', { 'all' => 'true' }]])
      expect(commands).to eq([%w(docker image rm r.test/hubfleet/notebook:0)])
    end
  end

  context 'without a fixed tag' do
    recipe { engine_image 'r.test/hubfleet/notebook:latest' }

    it('is refused') { expect { chef_run }.to raise_error(Chef::Exceptions::ValidationFailed, /must name a fixed tag/) }
  end
end
