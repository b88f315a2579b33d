require 'tmpdir'
require_relative 'engine_context'

describe 'swarm_stack' do
  include_context 'an engine'

  let(:directory) { Dir.mktmpdir }
  let(:stack) { Swarm::Stack.new('hubfleet', File.read("#{directory}/stack.yml")) }
  let(:commands) { [] }
  let(:state) { 'running' }
  let(:answers) do
    {
      'GET /services' => ->(_) { commands.empty? && fresh ? [] : [service] },
      'GET /tasks' => [{ 'CreatedAt' => '1', 'DesiredState' => 'running', 'Status' => { 'State' => state, 'Err' => 'No such image' }, 'Spec' => {} }],
    }
  end
  let(:fresh) { true }
  let(:service) do
    { 'ID' => 'h', 'ServiceStatus' => { 'DesiredTasks' => 1 },
      'Spec' => { 'Name' => 'hubfleet_hub', 'Labels' => { 'hubfleet.stack-hash' => stack.hash_of('hub') }, 'TaskTemplate' => {} } }
  end
  let(:chef_run) do
    path = directory
    chef_runner.converge_block do
      swarm_stack 'hubfleet' do
        file "#{path}/stack.yml"
        record "#{path}/records/hubfleet.json"
        wait_for %w(hub)
        deadline_s 0
      end
    end
  end

  before do
    File.write("#{directory}/stack.yml", 'services: {hub: {image: "a:1"}}')
    stubs_for_provider('swarm_stack[hubfleet]') do |provider|
      allow(provider).to receive(:shell_out_compacted) do |*argv|
        options = argv.pop
        commands << [argv, options[:input]]
        double(error?: false, stdout: '', stderr: '', error!: nil)
      end
    end
  end

  after { FileUtils.rm_rf(directory) }

  it 'deploys the labelled file on standard input and records what the engine made of it' do
    chef_run
    expect(commands).to eq([[%w(docker stack deploy --resolve-image never --prune --compose-file - hubfleet), stack.document]])
    expect(api.requests.first).to eq(['GET /services', { 'status' => 'true', 'filters' => { 'label' => ['com.docker.stack.namespace=hubfleet'] } }])
    expect(JSON.parse(File.read("#{directory}/records/hubfleet.json"))).to eq(stack.fingerprints([service]))
  end

  context 'when a service does not come up' do
    let(:state) { 'rejected' }

    it 'fails with its last word, and does not deploy again next time' do
      expect(failure).to match(/not running after 0 s: hubfleet_hub: rejected: No such image/)
      expect(stack.differences([service], JSON.parse(File.read("#{directory}/records/hubfleet.json")))).to eq([])
    end
  end

  context 'when all is as recorded' do
    let(:fresh) { false }

    before do
      FileUtils.mkdir_p("#{directory}/records")
      require_relative '../libraries/stack'
      File.write("#{directory}/records/hubfleet.json", JSON.generate(stack.fingerprints([service])))
    end

    it 'deploys nothing' do
      chef_run
      expect(commands).to be_empty
    end
  end
end
