require_relative '../../../spec/cookbooks_helper'
require 'tmpdir'

describe 'birth_phase' do
  step_into :birth_phase
  platform 'debian', '13'

  place = Dir.mktmpdir

  before { FileUtils.rm_rf(Dir.children(place).map { |name| File.join(place, name) }) }
  after(:all) { FileUtils.rm_rf(place) }

  let(:file) { File.join(place, 'birth.json') }
  let(:born) { File.join(place, 'last-converge.json') }
  let(:saved) { [] }

  recipe do
    birth_phase 'pulling' do
      file File.join(place, 'birth.json')
      born_file File.join(place, 'last-converge.json')
      action :stamp
    end
  end

  before do
    allow(Chef::Config).to receive(:[]).and_call_original
    allow(Chef::Config).to receive(:[]).with(:local_mode).and_return(false)
    allow_any_instance_of(Chef::Node).to receive(:save) { |node| saved << node.normal['hubfleet']['birth'].to_h }
  end

  def moments
    JSON.parse(File.read(file))
  end

  it 'notes the moment beside the others and tells the server at once' do
    File.write(file, '{"converging": 1.5}')
    chef_run
    expect(moments).to include('converging' => 1.5, 'pulling' => be_within(60).of(Time.now.to_f))
    expect(saved).to eq([moments])
  end

  it 'does nothing the second time' do
    File.write(file, '{"pulling": 1.5}')
    chef_run
    expect([moments, saved]).to eq([{ 'pulling' => 1.5 }, []])
  end

  it 'does nothing on a machine that is older than such records' do
    File.write(born, '{}')
    chef_run
    expect([File.exist?(file), saved]).to eq([false, []])
  end

  it 'fails no birth because the server did not hear of it' do
    allow_any_instance_of(Chef::Node).to receive(:save).and_raise(Errno::ECONNREFUSED)
    expect { chef_run }.not_to raise_error
    expect(moments).to have_key('pulling')
  end

  it 'tells nobody where there is no server' do
    allow(Chef::Config).to receive(:[]).with(:local_mode).and_return(true)
    chef_run
    expect([moments.keys, saved]).to eq([%w(pulling), []])
  end
end
