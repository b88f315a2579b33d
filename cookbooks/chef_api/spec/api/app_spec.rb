require_relative 'helper'

describe ChefApi::App, :scratch do
  let(:log) { StringIO.new }
  let(:api) { start_api(@directory, log: log) }

  it 'logs one line for each request, with the client that signed it and why it was refused' do
    ask(api, 'operator', 'GET', 'clients')
    api.request('GET', '/organizations/hubfleet/nodes')
    expect(log.string.lines.last(2)).to match([%r{^operator GET /organizations/hubfleet/clients 200 \d+$},
                                               %r{^- GET /organizations/hubfleet/nodes 400 \d+ missing authentication header}])
  end

  it 'refuses a body over the limit before anything reads it' do
    response = ask(api, 'operator', 'POST', 'nodes', 'x' * (ChefApi::App::MAX_BODY + 1))
    expect(response.status).to eq(413)
  end

  ['', '{', '[]', '"text"', '{"name":', "\xff"].each do |body|
    it "answers 400 to the document #{body.inspect}" do
      expect(ask(api, 'operator', 'POST', 'nodes', body).status).to eq(400)
    end
  end

  it 'refuses a key that is no public RSA key or too short' do
    keys = ['nonsense', OpenSSL::PKey::RSA.new(1024).public_key.to_pem, OpenSSL::PKey::RSA.new(2048).to_pem]
    statuses = keys.map { |key| ask(api, 'operator', 'POST', 'clients', { name: 'weak', public_key: key }).status }
    expect(statuses).to all(eq(400))
  end

  it 'keeps a file only under the checksum of its content' do
    good = Digest::MD5.hexdigest('content')
    statuses = [good, 'f' * 32].map { |sum| ask(api, 'operator', 'PUT', "file_store/checksums/#{sum}", 'content').status }
    expect([statuses, ask(api, 'operator', 'GET', "file_store/checksums/#{good}").body]).to eq([[200, 400], 'content'])
  end

  it 'points uploads at the host that the client used' do
    path = "#{ApiHelper::ROOT}/sandboxes"
    body = { checksums: { 'a' * 32 => nil } }.to_json
    headers = signed('operator', 'POST', path, body).merge(input: body, 'HTTP_HOST' => 'localhost:8444', 'HTTP_X_FORWARDED_PROTO' => 'https')
    url = JSON.parse(api.request('POST', path, headers).body).dig('checksums', 'a' * 32, 'url')
    expect(url).to eq("https://localhost:8444/organizations/hubfleet/file_store/checksums/#{'a' * 32}")
  end

  it 'finishes an upload that began before a restart, and begins others' do
    sum = Digest::MD5.hexdigest('content')
    upload = JSON.parse(ask(api, 'operator', 'POST', 'sandboxes', { checksums: { sum => nil } }).body)
    after = start_api(@directory)
    statuses = [ask(after, 'operator', 'POST', 'sandboxes', { checksums: { 'a' * 32 => nil } }),
                ask(after, 'operator', 'PUT', "file_store/checksums/#{sum}", 'content'),
                ask(after, 'operator', 'PUT', "sandboxes/#{upload['sandbox_id']}", { is_completed: true })].map(&:status)
    expect(statuses).to eq([201, 200, 200])
  end

  it 'tells which versions of the API it speaks' do
    answers = %w(1 9).map { |version| ask(api, 'operator', 'GET', 'clients', api_version: version) }
    expect([answers.map(&:status), JSON.parse(answers.first['x-ops-server-api-version']).keys]).to match([[200, 406], include('min_version', 'max_version')])
  end

  it 'adds no header that lets other sites read the answer' do
    expect(ask(api, 'operator', 'GET', 'clients').headers.keys).not_to include('access-control-allow-origin', 'server')
  end

  it 'hides the inside of an error and logs it' do
    allow_any_instance_of(ChefApi::Store).to receive(:list).and_raise(Errno::ENOSPC, 'secret path')
    response = ask(api, 'operator', 'GET', 'nodes')
    expect([response.status, response.body.include?('secret path'), log.string.include?('secret path')]).to eq([500, false, true])
  end

  it 'finds nodes by policy' do
    create_client(api, 'worker')
    ask(api, 'worker', 'POST', 'nodes', { name: 'worker', policy_name: 'swarm_worker', policy_group: 'local' })
    found = %w(swarm_worker hub).map do |policy|
      path = "#{ApiHelper::ROOT}/search/node"
      JSON.parse(api.request('GET', "#{path}?q=policy_name:#{policy}", signed('worker', 'GET', path)).body)['total']
    end
    expect(found).to eq([1, 0])
  end

  context 'with a search' do
    before do
      %w(a b c).each { |name| ask(api, 'operator', 'POST', 'nodes', { name: name, normal: { text: 'x' * 40 } }) }
    end

    def search(query)
      path = "#{ApiHelper::ROOT}/search/node"
      response = api.request('GET', "#{path}?#{query}", signed('operator', 'GET', path))
      [response.status, JSON.parse(response.body)]
    end

    it 'gives each page' do
      pages = [0, 2, 4].map { |start| search("q=*:*&start=#{start}&rows=2").last.values_at('start', 'total', 'rows') }
      expect(pages.map { |start, total, rows| [start, total, rows.size] }).to eq([[0, 3, 2], [2, 3, 1], [4, 3, 0]])
    end

    it 'answers 400 to what it cannot read' do
      expect(['q=(', 'q=name:a~', 'rows=-1', 'start=x', 'q=name:a%5C'].map { |query| search(query).first }).to all(eq(400))
    end

    it 'gives up on a pattern that takes for ever' do
      stub_const('ChefApi::Endpoints::Search::LIMIT_S', 0.2)
      begun = Time.now
      expect(search("q=text:#{'*x' * 30}y")).to match([400, { 'error' => [include('wildcards')] }])
      expect(Time.now - begun).to be < 5
    end
  end

  context 'with keys' do
    before { create_client(api, 'node-a') }

    def key(name, **more)
      { name: name, public_key: ApiHelper::KEYS[name].public_key.to_pem, expiration_date: 'infinity' }.merge(more)
    end

    def statuses(*requests)
      requests.map { |request| ask(api, *request).status }
    end

    it 'lets a client change its own key, after which the old one is worth nothing' do
      add = statuses(['node-a', 'POST', 'clients/node-a/keys', key('next')])
      after = ask(api, 'node-a', 'DELETE', 'clients/node-a/keys/default', key: ApiHelper::KEYS['next']).status
      signed = %w(node-a next).map { |name| ask(api, 'node-a', 'GET', 'nodes', key: ApiHelper::KEYS[name]).status }
      expect([add, after, signed]).to eq([[201], 200, [401, 200]])
    end

    it 'deletes a default key once, and shows none in its place' do
      statuses(['operator', 'POST', 'clients/node-a/keys', key('next')])
      gone = Array.new(2) { |second| ask(api, 'operator', 'DELETE', 'clients/node-a/keys/default', at: Time.now + second).status }
      expect([gone, statuses(['operator', 'GET', 'principals/node-a'], ['operator', 'GET', 'clients/node-a/keys/default'])]).to eq([[200, 404], [404, 404]])
    end

    it 'changes a key where it is, and keeps what is not sent' do
      statuses(['operator', 'POST', 'clients/node-a/keys', key('next', expiration_date: '2099-01-01T00:00:00Z')])
      changed = ask(api, 'operator', 'PUT', 'clients/node-a/keys/next', key('third').slice(:public_key))
      stored = JSON.parse(ask(api, 'operator', 'GET', 'clients/node-a/keys/next').body)
      expect([changed.status, stored]).to eq([200, { 'name' => 'next', 'public_key' => key('third')[:public_key], 'expiration_date' => '2099-01-01T00:00:00Z' }])
    end

    it 'makes a key where it is told to' do
      made = %w(default next).map do |name|
        ask(api, 'operator', 'POST', 'clients/node-a/keys', key('next')) if name == 'next'
        JSON.parse(ask(api, 'operator', 'PUT', "clients/node-a/keys/#{name}", { create_key: true }).body)['private_key']
      end
      expect(made.map { |pem| ask(api, 'node-a', 'GET', 'nodes', key: OpenSSL::PKey::RSA.new(pem)).status }).to eq([200, 200])
    end

    it 'keeps five beside the default one' do
      expect(Array.new(6) { |number| ask(api, 'node-a', 'POST', 'clients/node-a/keys', key("k#{number}", public_key: key('next')[:public_key])).status })
        .to eq([201, 201, 201, 201, 201, 409])
    end

    [{ expiration_date: 'never' }, { expiration_date: nil }, { public_key: nil }, { name: 'default', expiration_date: '2099-01-01T00:00:00Z' }].each do |wrong|
      it("answers 400 to a key with #{wrong}") { expect(statuses(['operator', 'POST', 'clients/node-a/keys', key('next', **wrong)])).to eq([400]) }
    end

    it('does not rename one') { expect(statuses(['operator', 'PUT', 'clients/node-a/keys/default', key('other')])).to eq([400]) }
  end
end
