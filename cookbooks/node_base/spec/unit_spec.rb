require 'tmpdir'
require_relative '../libraries/unit'

describe Hubfleet::Unit do
  around { |example| Dir.mktmpdir { |directory| (@file = "#{directory}/file") && File.write(@file, '') && example.run } }

  subject(:unit) { described_class.new('some.service') }

  def running_for(seconds)
    since = Process.clock_gettime(Process::CLOCK_MONOTONIC) - seconds
    allow(unit).to receive(:properties).and_return('ActiveState' => 'active', 'StateChangeTimestampMonotonic' => (since * 1e6).to_i.to_s)
  end

  it 'is older than a file that was written since' do
    running_for(60)
    expect(unit.older_than?([@file])).to be(true)
  end

  it 'is newer than a file from before' do
    running_for(60)
    File.utime(Time.now - 120, Time.now - 120, @file)
    expect(unit.older_than?([@file, '/does/not/exist', File.dirname(@file)])).to be(false)
  end

  it 'is not old when it does not run' do
    allow(unit).to receive(:properties).and_return('ActiveState' => 'inactive', 'StateChangeTimestampMonotonic' => '0')
    expect(unit.older_than?([@file])).to be(false)
  end
end
