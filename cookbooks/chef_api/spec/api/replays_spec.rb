require_relative 'helper'

describe ChefApi::Replays, :scratch do
  let(:now) { [Time.utc(2030)] }
  let(:done) { [200, {}, []] }

  def replays(directory = @directory, **options)
    described_class.new(directory, window_s: 1800, not_before: Time.at(0), clock: -> { now.first }, **options)
  end

  def once(replays, text, client: 'node', at: now.first, answer: done)
    replays.once(text, at: at, client: client) { answer }.first
  rescue ChefApi::Refused => e
    e.status
  end

  it 'lets a text pass once, and others beside it' do
    one = replays
    expect(%w(a a b a).map { |text| once(one, text) }).to eq([200, 409, 200, 409])
  end

  it 'remembers for the whole time in which a signature may be good, and no longer than twice' do
    one = replays
    once(one, 'a')
    statuses = [1799, 1, 3600].map do |seconds|
      now[0] += seconds
      once(one, 'a')
    end
    expect(statuses).to eq([409, 409, 200])
  end

  it 'forgets what was not done' do
    one = replays
    statuses = [once(one, 'a', answer: [503, {}, []]), once(one, 'a')]
    expect { one.once('b', at: now.first, client: 'node') { raise Errno::EIO } }.to raise_error(Errno::EIO)
    expect([*statuses, once(one, 'b'), once(one, 'b')]).to eq([503, 200, 200, 409])
  end

  it 'knows after a restart what was done before, and not without its files' do
    once(replays, 'a')
    expect([once(replays, 'a'), once(replays("#{@directory}/elsewhere"), 'a')]).to eq([409, 200])
  end

  it 'overwrites the half of a sum that a full disk left' do
    once(replays, 'a')
    File.open(Dir["#{@directory}/*"].first, 'ab') { |file| file.write('half') }
    once(replays, 'b')
    after = replays
    expect([%w(a b).map { |text| once(after, text) }, File.size(Dir["#{@directory}/*"].first)]).to eq([[409, 409], 32])
  end

  it 'refuses a write when there is no room to remember it' do
    one = replays
    allow_any_instance_of(File).to receive(:pwrite).and_raise(Errno::ENOSPC)
    expect(once(one, 'a')).to eq(507)
  end

  it 'refuses what was signed before the machine started' do
    one = replays(@directory, not_before: now.first)
    expect([once(one, 'a', at: now.first - 1), once(one, 'b')]).to eq([409, 200])
    expect(described_class.boot_time).to be < Time.now
  end

  it 'is bounded, for each client and for all' do
    one = replays(@directory, limit: 3, share: 2)
    expect([%w(a b c).map { |text| once(one, text) }, %w(d e).map { |text| once(one, text, client: 'other') }]).to eq([[200, 200, 429], [200, 429]])
  end

  it 'lets one of many at the same moment pass' do
    one = replays
    statuses = Array.new(8) { Thread.new { once(one, 'a') } }.map(&:value)
    expect(statuses.tally).to eq(200 => 1, 409 => 7)
  end

  it 'keeps two windows of files' do
    one = replays
    5.times do |number|
      once(one, number.to_s)
      now[0] += 1800
    end
    once(one, 'last')
    expect(Dir["#{@directory}/*"].size).to be <= 2
  end
end
