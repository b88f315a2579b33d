require_relative 'helper'

describe ChefApi::App, :scratch do
  let(:log) { StringIO.new }
  let(:api) { start_api(@directory, log: log) }

  it 'logs one line for each request, with the client that signed it' do
    ask(api, 'operator', 'GET', 'clients')
    api.request('GET', '/organizations/hubfleet/nodes')
    expect(log.string.lines.last(2)).to match([%r{^operator GET /organizations/hubfleet/clients 200 \d+$},
                                               %r{^- GET /organizations/hubfleet/nodes 400 \d+$}])
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
end
