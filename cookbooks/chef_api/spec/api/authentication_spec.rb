require_relative 'helper'

describe ChefApi::Authentication, :scratch do
  let(:api) { start_api(@directory) }
  let(:path) { "#{ApiHelper::ROOT}/clients" }

  def status(method, path, headers, body = '')
    api.request(method, path, headers.merge(input: body)).status
  end

  it 'accepts what chef-client signs' do
    expect(status('GET', path, signed('operator', 'GET', path))).to eq(200)
  end

  it 'accepts every version of the API that is signed' do
    expect(%w(0 1).map { |version| status('GET', path, signed('operator', 'GET', path, api_version: version)) }).to all(eq(200))
  end

  ChefApi::Authentication::REQUIRED.each do |header|
    field = "HTTP_#{header.upcase.tr('-', '_')}"

    it "answers 400 without #{header}" do
      response = api.request('GET', path, signed('operator', 'GET', path) { |headers| headers.delete(field) })
      expect([response.status, response.body]).to match([400, include(header)])
    end

    it "answers 400 with an empty #{header}" do
      expect(status('GET', path, signed('operator', 'GET', path) { |headers| headers[field] = ' ' })).to eq(400)
    end
  end

  it 'answers 400 to an unsigned request on every path' do
    paths = ["#{ApiHelper::ROOT}/file_store/checksums/abc", "#{ApiHelper::ROOT}/nothing", '/nothing', '/', '/users', '/version',
             "#{ApiHelper::ROOT}/search/node?q=*:*"]
    expect(paths.map { |unsigned| status('GET', unsigned, {}) }).to all(eq(400))
  end

  it 'lets anybody ask whether it is alive, and nothing else' do
    expect([status('GET', '/_status', {}), status('POST', '/_status', {}), status('GET', '/_status/x', {})]).to eq([200, 400, 400])
  end

  ['algorithm=sha1;version=1.0;', 'algorithm=sha1;version=1.1;', 'algorithm=sha256;version=1.2;', 'algorithm=sha1;version=1.3;',
   'version=1.4', 'algorithm=sha256', 'nonsense', ';;;', '='].each do |description|
    it "answers 400 to X-Ops-Sign: #{description}" do
      headers = signed('operator', 'GET', path) { |signed| signed['HTTP_X_OPS_SIGN'] = description }
      expect(status('GET', path, headers)).to eq(400)
    end
  end

  it 'answers 400 to a request signed by the older protocol, and names the setting' do
    response = api.request('GET', path, signed('operator', 'GET', path, version: '1.1'))
    expect([response.status, response.body]).to match([400, include('authentication_protocol_version')])
  end

  ['yesterday', '2026-13-45T00:00:00Z', '2026-01-01 00:00:00', '2026-01-01T00:00:00+00:00', '0'].each do |time|
    it "answers 400 to the timestamp #{time}" do
      headers = signed('operator', 'GET', path) { |signed| signed['HTTP_X_OPS_TIMESTAMP'] = time }
      expect(status('GET', path, headers)).to eq(400)
    end
  end

  { -3600 => 401, -930 => 401, -870 => 200, -30 => 200, 30 => 200, 870 => 200, 930 => 401, 3600 => 401 }.each do |skew, expected|
    it "answers #{expected} to a clock that is #{skew} s off" do
      expect(status('GET', path, signed('operator', 'GET', path, at: Time.now + skew))).to eq(expected)
    end
  end

  it 'says that the clock is wrong, in words that chef-client knows' do
    response = api.request('GET', path, signed('operator', 'GET', path, at: Time.now - 4000))
    expect(response.body).to match(/check the clock.*synchronize the clock/)
  end

  it 'does not tell an unknown client from a wrong key' do
    unknown = api.request('GET', path, signed('nobody', 'GET', path))
    wrong = api.request('GET', path, signed('operator', 'GET', path, key: ApiHelper::KEYS['other']))
    expect([unknown, wrong].map { |response| [response.status, response.body.sub('nobody', 'operator')] }.uniq).to match([[401, include('client key')]])
  end

  it 'answers 401 to a client name that is no name' do
    names = ['../operator', 'operator/../operator', "operator\u00e9", 'a b', '.', '..', 'x' * 300]
    statuses = names.map { |name| status('GET', path, signed('operator', 'GET', path) { |headers| headers['HTTP_X_OPS_USERID'] = name.b }) }
    expect(statuses).to all(eq(401))
  end

  {
    'another method' => ['DELETE', nil, nil, {}],
    'another path' => [nil, '/organizations/hubfleet/nodes', nil, {}],
    'another body' => [nil, nil, '{"name":"evil"}', {}],
    'another time' => [nil, nil, nil, { 'HTTP_X_OPS_TIMESTAMP' => -> { (Time.now - 60).utc.iso8601 } }],
    'another client' => [nil, nil, nil, { 'HTTP_X_OPS_USERID' => -> { 'bootstrap' } }],
    'another version of the API' => [nil, nil, nil, { 'HTTP_X_OPS_SERVER_API_VERSION' => -> { '0' } }],
    'another content hash' => [nil, nil, nil, { 'HTTP_X_OPS_CONTENT_HASH' => -> { [OpenSSL::Digest.digest('SHA256', 'x')].pack('m0') } }],
    'another signature' => [nil, nil, nil, { 'HTTP_X_OPS_AUTHORIZATION_1' => -> { 'A' * 60 } }],
    'a signature that is no base64' => [nil, nil, nil, { 'HTTP_X_OPS_AUTHORIZATION_1' => -> { '!!!' } }],
  }.each do |name, (method, other, body, altered)|
    it "answers 401 to a signature for #{name}" do
      content = { name: 'new' }.to_json
      headers = signed('operator', 'POST', path, content).merge(altered.transform_values(&:call))
      expect(status(method || 'POST', other || path, headers, body || content)).to eq(401)
    end
  end

  it 'accepts a second key until it ends' do
    create_client(api, 'rotating')
    add = lambda do |name, expiration|
      ask(api, 'operator', 'POST', 'clients/rotating/keys',
          { name: name, public_key: ApiHelper::KEYS[name].public_key.to_pem, expiration_date: expiration })
    end
    add.call('next', 'infinity')
    add.call('past', '2020-01-01T00:00:00Z')
    own = "#{ApiHelper::ROOT}/clients/rotating"
    expect(%w(rotating next past).map { |key| status('GET', own, signed('rotating', 'GET', own, key: ApiHelper::KEYS[key])) }).to eq([200, 200, 401])
  end

  it 'follows a key that changed in the file it was given' do
    start_api(@directory)
    ApiHelper::KEYS['operator-before'] = ApiHelper::KEYS['operator']
    ApiHelper::KEYS['operator'] = OpenSSL::PKey::RSA.new(2048)
    old = signed('operator', 'GET', path, key: ApiHelper::KEYS['operator-before'])
    expect([status('GET', path, old), status('GET', path, signed('operator', 'GET', path))]).to eq([401, 200])
  end
end
