require 'tmpdir'
require_relative '../files/converge_outcome'

describe Hubfleet::ConvergeOutcome do
  around { |example| Dir.mktmpdir { |directory| (@directory = directory) && example.run } }

  let(:files) { { record: "#{@directory}/last-converge.json", metrics: "#{@directory}/metrics/converge.prom" } }
  let(:good) do
    { 'status' => 'success', 'policy_name' => 'hub', 'policy_group' => 'local', 'policy_revision' => 'abc', 'seconds' => 12.3, 'total' => 90,
      'updated' => 2, 'failed' => 0 }
  end

  def outcome(environment = {})
    described_class.new(**files, environment: environment)
  end

  def record
    JSON.parse(File.read(files[:record]))
  end

  # Samples by their name and labels.
  def metrics
    File.readlines(files[:metrics], chomp: true).reject { |line| line.start_with?('#') }.to_h { |line| line.rpartition(' ').values_at(0, 2) }
  end

  it 'writes what the textfile collector reads' do
    outcome.write(good)
    expect(metrics).to match(
      'hubfleet_converge_last_run_timestamp_seconds' => record['ended']['timestamp'].to_s,
      'hubfleet_converge_last_success_timestamp_seconds' => record['ended']['timestamp'].to_s,
      'hubfleet_converge_success' => '1', 'hubfleet_converge_duration_seconds' => '12.3',
      'hubfleet_converge_resources{state="total"}' => '90', 'hubfleet_converge_resources{state="updated"}' => '2',
      'hubfleet_converge_resources{state="failed"}' => '0',
      'hubfleet_converge_info{policy_name="hub",policy_group="local",revision="abc"}' => '1'
    )
  end

  it 'says of each metric what it is, once' do
    outcome.write(good)
    names = metrics.keys.map { |name| name[/\w+/] }.uniq
    comments = File.readlines(files[:metrics]).filter_map { |line| line[/\A# (HELP|TYPE) \w+/] }
    expect(comments).to eq(names.flat_map { |name| ["# HELP #{name}", "# TYPE #{name}"] })
  end

  it 'keeps the time of the last success through failures' do
    outcome.write(good)
    before = record['last_success'].merge('timestamp' => 17, 'uptime_s' => 3)
    File.write(files[:record], JSON.generate(record.merge('last_success' => before)))
    2.times { outcome.write(good.merge('status' => 'failed', 'failed' => 1)) }
    expect(record['last_success']).to eq(before)
    expect(metrics).to include('hubfleet_converge_success' => '0', 'hubfleet_converge_last_success_timestamp_seconds' => '17',
                               'hubfleet_converge_resources{state="failed"}' => '1')
  end

  it 'knows of no success before the first one' do
    outcome.write(good.merge('status' => 'failed'))
    expect([record['last_success'], metrics.keys.grep(/last_success/)]).to eq([nil, []])
  end

  it 'is not stopped by a record that is broken' do
    ['{', '[]', ''].each do |text|
      File.write(files[:record], text)
      expect { outcome.write(good) }.not_to raise_error
    end
  end

  it 'quotes what a label may not hold' do
    outcome.write(good.merge('policy_name' => %(a"b\\c\nd)))
    expect(File.read(files[:metrics])).to include('policy_name="a\\"b\\\\c\\nd"')
  end

  it 'keeps time by clocks that nobody sets' do
    allow(Time).to receive(:now).and_return(Time.at(0))
    outcome.write(good)
    uptime = File.read('/proc/uptime').to_f
    expect(record['ended']).to match('timestamp' => 0, 'boot_id' => /\A[\h-]{36}\z/, 'uptime_s' => be_within(3).of(uptime))
    expect(described_class.process_age).to be_between(0.05, 3600)
  end

  describe 'a run that died before its handlers' do
    let(:ended) { { 'INVOCATION_ID' => 'b', 'SERVICE_RESULT' => 'exit-code', 'EXIT_STATUS' => '1' } }

    before { outcome('INVOCATION_ID' => 'a').write(good) }

    it 'is told from one that has reported' do
      expect([outcome('INVOCATION_ID' => 'a').recorded?, outcome(ended).recorded?, outcome.recorded?]).to eq([true, false, false])
    end

    it 'is a failure of the policy that the node had, with the last success as it was' do
      success = record['last_success']
      outcome(ended).write_missing
      expect(record).to include('status' => 'failed', 'policy_revision' => 'abc', 'last_success' => success, 'invocation' => 'b',
                                'exception' => /ended before it could report \(exit-code 1\)/)
      expect(metrics).to include('hubfleet_converge_success' => '0', 'hubfleet_converge_resources{state="total"}' => '0')
    end

    # The program that systemd starts, with its files elsewhere.
    it 'is recorded by the program of the unit, once' do
      program = File.read(File.expand_path('../files/converge_ended', __dir__))
                    .sub("'converge_outcome'", "'#{File.expand_path('../files/converge_outcome', __dir__)}'").sub('require_relative', 'require')
                    .sub('ConvergeOutcome.new', "ConvergeOutcome.new(record: '#{files[:record]}', metrics: '#{files[:metrics]}')")
      run = -> { system(ended, RbConfig.ruby, '-e', program) }
      expect(run.call).to be(true)
      first = File.stat(files[:record]).ino
      expect([record['status'], run.call, File.stat(files[:record]).ino]).to eq(['failed', true, first])
    end
  end
end
