require_relative 'acme_context'

describe WebTls::Acme do
  around { |example| Dir.mktmpdir { |directory| (@room = directory) && example.run } }

  before { allow(Time).to receive(:now).and_return(now) }

  let(:now) { AcmeContext::NOW }
  let(:store) { AcmeContext::Store.new }
  let(:local) { AcmeContext::Store.new }
  let(:client) { instance_double(WebTls::AcmeClient, issue: AcmeContext.issued) }
  let(:about) { { 'directory' => AcmeContext::DIRECTORY, 'host' => AcmeContext::HOST } }
  let(:tries) { WebTls::AcmeTries.new("#{@room}/state.json", about) }
  let(:acme) { machine }

  # As the next converge makes it.
  def machine(directory: AcmeContext::DIRECTORY)
    described_class.new(role: 'hub', directory: directory, names: [AcmeContext::HOST], store: store, local: local, client: client, tries: tries)
  end

  def keep(certificate, places = [store, local])
    places.each { |place| place.values['acme_certificate'] = certificate.to_s }
    certificate
  end

  it 'asks when there is nothing, and keeps account and certificate in the store, the certificate here too' do
    expect(acme).to be_due
    acme.renew!
    expect([store.values.keys.sort, local.values.keys]).to eq([%w(acme_account acme_certificate), %w(acme_certificate)])
    expect(acme.kept.private_key).to start_with('-----BEGIN EC PRIVATE KEY')
    expect([machine.due?, machine.unkept?]).to eq([false, false])
  end

  it 'asks for nothing while what is kept is good, from a third of its life before the end on for another' do
    found = keep(AcmeContext.kept)
    expect(found.renew_at).to eq(found.not_after - (30 * AcmeContext::DAY))
    expect([acme.due?(found.renew_at - 1), acme.due?(found.renew_at)]).to eq([false, true])
    expect(AcmeContext.kept(days: 45).then { |short| short.not_after - short.renew_at }).to eq(15 * AcmeContext::DAY)
    expect(AcmeContext.kept(days: 6).then { |short| short.not_after - short.renew_at }).to eq(3 * AcmeContext::DAY)
    expect(AcmeContext.kept(days: 397).then { |long| long.not_after - long.renew_at }).to eq(30 * AcmeContext::DAY)
  end

  {
    'of another authority' => { directory: 'https://other.test/directory' },
    'for another name' => { host: 'other.test' },
    'that has ended' => { from: AcmeContext::NOW - (91 * AcmeContext::DAY) },
    'of the future' => { from: AcmeContext::NOW + 60 },
  }.each do |which, options|
    it "neither serves nor counts a certificate #{which}" do
      keep(AcmeContext.kept(**options))
      expect([acme.kept, acme.due?]).to eq([nil, true])
    end
  end

  ['', '{', '[]', '1', '{"directory": "x"}', '{"directory": "x", "certificate": "canary", "private_key": "y"}'].each do |text|
    it "takes #{text.inspect} for no certificate" do
      keep(text)
      expect([acme.kept, acme.due?]).to eq([nil, true])
    end
  end

  it 'serves the one that lasts longer, wherever it is, and brings it to where it is not' do
    keep(AcmeContext.kept(days: 60), [store])
    newer = keep(AcmeContext.kept, [local])
    expect([acme.kept.to_s, acme.unkept?, acme.due?]).to eq([newer.to_s, true, false])
    acme.keep!
    expect([store, local].map { |place| place.values['acme_certificate'] }).to eq([newer.to_s] * 2)
    expect(machine).not_to be_unkept
  end

  it 'never asks while the store cannot be read, and serves what is here' do
    store.broken << :read
    expect([acme.due?, acme.problem, acme.kept]).to eq([false, 'cannot read', nil])
    found = keep(AcmeContext.kept, [local])
    expect([machine.due?(found.renew_at + 1), machine.unkept?, machine.kept.to_s]).to eq([false, false, found.to_s])
  end

  it 'asks nothing where the account cannot be kept' do
    store.broken << :write
    expect { acme.renew! }.to raise_error(described_class::Failed, /gave no certificate.*cannot write/)
    expect(client).not_to have_received(:issue)
    expect(machine).not_to be_due
  end

  it 'does not ask again for one that the store did not take' do
    store.values['acme_account'] = JSON.generate('directory' => AcmeContext::DIRECTORY, 'private_key' => 'key')
    store.broken << :write
    expect { acme.renew! }.to raise_error(described_class::Failed, 'the certificate is in use but not kept: cannot write')
    expect([acme.kept.nil?, machine.due?, machine.unkept?]).to eq([false, false, true])
    expect { machine.keep! }.to raise_error(described_class::Failed, /not kept/)
    store.broken.clear
    machine.keep!
    expect([machine.unkept?, store.values['acme_certificate']]).to eq([false, local.values['acme_certificate']])
  end

  it 'waits 1, 10, 100 minutes, then a day' do
    allow(client).to receive(:issue).and_raise(WebTls::AcmeClient::Refused, 'no')
    at = now
    [60, 600, 6_000, 86_400, 86_400].each do |wait|
      expect { machine.renew!(at) }.to raise_error(described_class::Failed, /: no; next try not before #{(at + wait).utc.iso8601}\z/)
      expect([machine.due?(at + wait - 1), machine.due?(at + wait)]).to eq([false, true])
      at += wait
    end
    expect(tries.read).to include('result' => 'failed', 'reason' => 'no', 'failures' => 5, **about)
  end

  it 'waits as long as the authority asks for, a week at most' do
    [7_200, 1 << 40].zip([7_200, 7 * 86_400]).each do |asked, wait|
      allow(client).to receive(:issue).and_raise(WebTls::AcmeClient::Refused.new('rateLimited', retry_after_s: asked))
      expect { machine.renew! }.to raise_error(described_class::Failed)
      expect(tries.read['next_try']).to eq((now + wait).utc.iso8601)
    end
  end

  it 'does not wait because another name or authority failed, nor for a record that is broken' do
    tries.failed('no', now)
    expect(WebTls::AcmeTries.new("#{@room}/state.json", about.merge('host' => 'other.test'))).to be_allowed(now)
    ['{', '[]', JSON.generate(about.merge('next_try' => 'soon'))].each do |text|
      File.write("#{@room}/state.json", text)
      expect(tries).to be_allowed(now)
    end
  end

  it 'keeps its account, but not for another authority' do
    acme.renew!
    account = store.values['acme_account']
    machine.renew!
    expect(store.values['acme_account']).to eq(account)
    allow(client).to receive(:issue).and_return(AcmeContext.issued)
    machine(directory: 'https://other.test/directory').renew!
    expect(store.values['acme_account']).not_to eq(account)
  end

  it 'refuses what it has not asked for, and an account that is broken' do
    allow(client).to receive(:issue).and_return(AcmeContext.issued(host: 'other.test'))
    expect { acme.renew! }.to raise_error(described_class::Failed, /not what was asked for/)
    store.values['acme_account'] = 'canary'
    expect { machine.renew! }.to raise_error(described_class::Failed) { |error| expect(error.message).to include('acme_account is broken').and(satisfy { |text| !text.include?('canary') }) }
  end

  it 'shows no key when it is inspected' do
    expect(AcmeContext.kept.inspect).not_to include('PRIVATE')
  end
end

describe WebTls::AcmeClient do
  {
    "  + ERROR: ...\nretry-after: 60\n{\n \"type\": \"urn:ietf:params:acme:error:rateLimited\",\n \"detail\": \"too many \\\"x\\\"\"\n}\n" => 'rateLimited: too many "x"',
    "ERROR: Challenge is invalid! (result: [\"error\",\"type\"]\t\"urn:ietf:params:acme:error:dns\"\n[\"error\",\"detail\"]\t\"no such name\"\n" => 'dns: no such name',
    "# INFO: x\nERROR: Problem connecting to server (get for https://x; curl returned with 7)\n\n" => 'ERROR: Problem connecting to server (get for https://x; curl returned with 7)',
    '' => '',
  }.each do |output, reason|
    it("names the reason #{reason.inspect}") { expect(described_class.reason(output)).to eq(reason) }
  end

  def client(program, room)
    described_class.new(AcmeContext::DIRECTORY, "a b'; touch #{room}/bad", room, program: program)
  end

  # A program that leaves what it was given, and ends as it is told.
  def program(room, text)
    "#{room}/program".tap { |path| File.write(path, "#!/bin/sh\n#{text}\n", perm: 0o700) }
  end

  around { |example| Dir.mktmpdir { |room| (@room = room) && example.run } }

  let(:account) { described_class.account_key }

  it 'gives keys in files that are gone afterwards, never as arguments, and quotes what a shell reads' do
    program(@room, "echo \"$@\" >> #{@room}/said; . \"$2\"; printf '%s' \"$CONTACT_EMAIL\" > #{@room}/email; cat \"$2\" \"${6}\" > #{@room}/files; stat -c %a \"$6\" > #{@room}/mode; echo no >&2; exit 1")
    expect { client("#{@room}/program", @room).issue(account, %w(hub.school.test)) }.to raise_error(described_class::Refused, 'no')
    said = File.read("#{@room}/said")
    expect(said).to include("--ca #{AcmeContext::DIRECTORY}", '--register').and(satisfy { |text| !text.include?('BEGIN') })
    expect([File.read("#{@room}/email"), File.exist?("#{@room}/bad"), File.read("#{@room}/mode")]).to eq(["a b'; touch #{@room}/bad", false, "600\n"])
    expect(File.read("#{@room}/files")).to include(account)
    expect(File).not_to exist(said[/--config (\S+)/, 1])
  end

  it 'says so where the client is missing, takes too long, or prints nothing' do
    expect { client("#{@room}/none", @room).issue(account, %w(a.test)) }.to raise_error(described_class::Refused, /not installed/)
    stub_const('WebTls::AcmeClient::TIMEOUT_S', 0.2)
    expect { client(program(@room, 'sleep 5'), @room).issue(account, %w(a.test)) }.to raise_error(described_class::Refused, /no end after/)
    stub_const('WebTls::AcmeClient::TIMEOUT_S', 10)
    expect { client(program(@room, 'true'), @room).issue(account, %w(a.test)) }.to raise_error(described_class::Refused, /no certificate/)
  end

  it 'reads how long the authority asks to be left alone' do
    path = program(@room, "printf 'Details:\\nHTTP/2 429\\nRetry-After: 3600\\n{\"type\": \"urn:ietf:params:acme:error:rateLimited\", \"detail\": \"slow\"}\\n' >&2; exit 1")
    expect { client(path, @room).issue(account, %w(a.test)) }.to raise_error(described_class::Refused) { |error| expect([error.message, error.retry_after_s]).to eq(['rateLimited: slow', 3600]) }
  end
end
