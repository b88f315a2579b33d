require_relative '../../../spec/cookbooks_helper'

describe 'notebook_worker::default' do
  let(:attributes) { CookbooksHelper.role_attributes('swarm_worker') }
  let(:reference) { 'registry.hubfleet.internal/hubfleet/notebook:0123456789ab' }
  let(:run) do
    runner_for('swarm_worker') { |node| node.default['images']['notebook'] = { 'repository' => 'hubfleet/notebook', 'tag' => '0123456789ab' } }
      .converge('notebook_worker::default')
  end

  it 'pulls the image of the policy and removes older ones' do
    expect(run).to pull_engine_image(reference)
    expect(run).to prune_engine_image("older than #{reference}").with(reference: reference)
  end

  it 'tries it as a student would run it' do
    expect(run).to run_notebook_probe(reference).with(
      uid: attributes['notebook']['uid'], memory_mb: attributes['notebook']['memory_limit_mb'], homes: attributes['storage']['homes']
    )
  end
end

describe 'notebook_probe' do
  step_into :notebook_probe
  platform 'debian', '13'

  recipe do
    notebook_probe 'r.test/hubfleet/notebook:1' do
      uid 1000
      memory_mb 512
      homes '/srv/homes'
    end
  end

  let(:stamp) { '/var/lib/hubfleet/probes/r.test_hubfleet_notebook_1' }
  let(:commands) { [] }
  let(:works) { true }

  before do
    allow(File).to receive(:exist?).and_call_original
    allow(File).to receive(:read).and_call_original
    stubs_for_provider('notebook_probe[r.test/hubfleet/notebook:1]') do |provider|
      allow(provider).to receive(:shell_out_compacted) do |*argv|
        commands << argv.take_while { |item| item.is_a?(String) }
        failed = commands.last[1] == 'run' && !works
        double(error?: failed, stdout: "sha256:new\n", stderr: 'Illegal instruction', error!: nil)
      end
    end
  end

  def passed(id)
    allow(File).to receive(:exist?).with(stamp).and_return(true)
    allow(File).to receive(:read).with(stamp).and_return("#{id}\n")
  end

  it "runs the image with a student's restrictions and keeps its id" do
    expect(chef_run).to create_file(stamp).with(content: "sha256:new\n")
    expect(commands.last).to eq(
      ['docker', 'run', '--rm', '--network', 'none', '--user', '1000:1000', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges',
       '--memory', '512m', '--volume', '/srv/homes:/homes:ro', '--entrypoint', 'python3', 'r.test/hubfleet/notebook:1', '-c',
       'import os, jupyterlab, ipykernel, jupyterhub.singleuser; assert os.getuid() == 1000; assert os.path.isdir("/homes")']
    )
  end

  it 'does not run an image that has passed' do
    passed('sha256:new')
    chef_run
    expect(commands.map { |argv| argv[1] }).to eq(%w(image))
  end

  it 'runs another image of the same tag' do
    passed('sha256:old')
    chef_run
    expect(commands.map { |argv| argv[1] }).to eq(%w(image run))
  end

  context 'when it does not run' do
    let(:works) { false }

    it 'stops before the node joins' do
      expect { chef_run }.to raise_error(/notebook:1 does not run on this node, which therefore takes no students: Illegal instruction/)
    end
  end
end
