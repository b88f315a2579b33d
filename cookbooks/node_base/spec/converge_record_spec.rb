require 'tmpdir'
require_relative '../../../spec/cookbooks_helper'
require_relative '../files/converge_record'

describe Hubfleet::ConvergeRecord do
  # Resources really run here, which ChefSpec prevents unless its switch is off.
  # rubocop:disable Style/GlobalVars
  around do |example|
    mode = $CHEFSPEC_MODE
    $CHEFSPEC_MODE = false
    Dir.mktmpdir { |directory| (@path = "#{directory}/state/last-converge.json") && example.run }
  ensure
    $CHEFSPEC_MODE = mode
  end
  # rubocop:enable Style/GlobalVars

  let(:events) { Chef::EventDispatch::Dispatcher.new }
  let(:node) { Chef::Node.new.tap { |node| node.automatic['policy_revision'] = 'abc' } }

  def outcome
    Hubfleet::ConvergeOutcome.new(record: @path, metrics: "#{File.dirname(@path)}/converge.prom", environment: {})
  end

  # A run of chef-client with these resources, whose record is returned.
  def record(exception: nil, &recipe)
    collection = Chef::ActionCollection.new(events)
    events.register(collection)
    context = Chef::RunContext.new(node, Chef::CookbookCollection.new, events)
    collection.cookbook_compilation_start(context)
    instance_exec(context, &recipe) if recipe
    status = Chef::RunStatus.new(node, events).tap { |run| run.run_context = context }
    status.start_clock
    status.stop_clock
    status.exception = exception
    described_class.new(outcome).run_report_unsafe(status)
    JSON.parse(File.read(@path))
  end

  it 'tells what a good run changed' do
    written = record do |context|
      Dir.mktmpdir do |directory|
        %w(new new).each { |name| Chef::Resource::Directory.new("#{directory}/#{name}", context).run_action(:create) }
      end
    end
    expect(written).to include('status' => 'success', 'total' => 2, 'updated' => 1, 'failed' => 0, 'updated_resources' => [match(%r{directory\[.*/new\]})],
                               'policy_revision' => 'abc', 'failed_resource' => nil, 'exception' => nil)
  end

  it 'tells which resource failed, and why' do
    error = nil
    written = record(exception: RuntimeError.new('x' * 5000)) do |context|
      Chef::Resource::Directory.new('/proc/none/at/all', context).run_action(:create)
    rescue StandardError => e
      error = e
    end
    expect([error.nil?, written]).to match([false, include('status' => 'failed', 'failed' => 1, 'failed_resource' => 'directory[/proc/none/at/all]')])
    expect(written['exception'].length).to eq(described_class::MAX_TEXT)
  end

  it 'records a run that failed before its first resource' do
    status = Chef::RunStatus.new(nil, events).tap(&:start_clock).tap(&:stop_clock)
    status.exception = RuntimeError.new('no policy')
    described_class.new(outcome).run_report_unsafe(status)
    expect(JSON.parse(File.read(@path))).to include('status' => 'failed', 'updated' => 0, 'exception' => 'RuntimeError: no policy')
  end

  it 'leaves nothing but the record' do
    2.times { record }
    expect(Dir.children(File.dirname(@path))).to contain_exactly(File.basename(@path), 'converge.prom')
  end
end
