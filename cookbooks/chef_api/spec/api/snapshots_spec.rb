require_relative 'helper'
require 'digest'
require 'rubygems/package'
require 'zlib'

describe ChefApi::Snapshots, :scratch do
  let(:api) { start_api(@directory) }
  let(:snapshot) { ask(api, 'operator', 'GET', '_snapshot').body }

  def restore(archive, **order)
    ask(api, 'operator', 'PUT', '_snapshot/parts/0', archive)
    ask(api, 'operator', 'PUT', '_snapshot', { sha256: Digest::SHA256.hexdigest(archive) }.merge(order))
  end

  # An archive of what the block puts into it; manifest: fields that differ from the right ones.
  def archive(files, **manifest)
    text = StringIO.new
    Zlib::GzipWriter.wrap(text) do |gzip|
      Gem::Package::TarWriter.new(gzip) do |tar|
        content = { format: 1, organization: 'hubfleet', files: files.size, data_bags: 0 }.merge(manifest).to_json
        { 'snapshot.json' => content, **files }.each { |name, data| tar.add_file_simple(name, 0o600, data.bytesize) { |io| io.write(data) } }
      end
      gzip.finish
    end
    text.string
  end

  def client(name, key: ApiHelper::KEYS[name].public_key.to_pem)
    { 'name' => name, 'public_key' => key }.to_json
  end

  it 'answers with an archive and removes its copy' do
    expect([snapshot.byteslice(0, 2).bytes, Dir.children("#{@directory}/data/tmp")]).to eq([[0x1f, 0x8b], []])
  end

  it 'takes an archive in parts, each of which may be sent again' do
    api
    content = snapshot
    sizes = [[0, content.byteslice(0, 100)], [0, content.byteslice(0, 200)], [200, content.byteslice(200..)], [200, content.byteslice(200..)]]
    answers = sizes.map { |offset, part| JSON.parse(ask(api, 'operator', 'PUT', "_snapshot/parts/#{offset}", part).body)['size'] }
    done = ask(api, 'operator', 'PUT', '_snapshot', { sha256: Digest::SHA256.hexdigest(content) })
    expect([answers, done.status]).to eq([[100, 200, content.bytesize, content.bytesize], 200])
  end

  it 'refuses a gap, a sum that differs, and methods it does not know' do
    api
    answers = [ask(api, 'operator', 'PUT', '_snapshot/parts/5', 'x'), ask(api, 'operator', 'PUT', '_snapshot', { sha256: 'no' }),
               ask(api, 'operator', 'DELETE', '_snapshot')]
    expect(answers.map(&:status)).to eq([409, 400, 405])
  end

  it 'restores nothing from parts that do not add up' do
    api
    ask(api, 'operator', 'PUT', '_snapshot/parts/0', snapshot)
    expect(ask(api, 'operator', 'PUT', '_snapshot', { sha256: Digest::SHA256.hexdigest('another') }).body).to include('do not add up')
  end

  it 'limits the size of an archive' do
    limited = described_class.new(nil, ChefApi::Store.new(@directory), organization: 'o', seeds: {}, limit: 10)
    request = { 'PATH_INFO' => '/organizations/o/_snapshot/parts/8', 'REQUEST_METHOD' => 'PUT', 'rack.input' => StringIO.new('xxx') }
    limited.call(request.merge('PATH_INFO' => '/organizations/o/_snapshot/parts/0', 'rack.input' => StringIO.new('x' * 8)))
    expect { limited.call(request) }.to raise_error(ChefApi::Refused, /larger than 10/)
  end

  it 'does not let a client that is no administrator near it' do
    create_client(api, 'node')
    requests = [%w(GET _snapshot), %w(PUT _snapshot/parts/0), %w(PUT _snapshot)]
    answers = %w(node bootstrap).product(requests).map { |name, (method, path)| ask(api, name, method, path, '{}').status }
    expect(answers.uniq).to eq([403])
  end

  root = 'organizations/hubfleet'
  {
    'another format' => [{}, { format: 2 }],
    'another organization' => [{}, { organization: 'other' }],
    'fewer files than it says' => [{}, { files: 1 }],
    'a path out of the store' => [{ '../../../evil' => '{}' }, {}],
    'an absolute path' => [{ '/etc/evil' => '{}' }, {}],
    'files of another organization' => [{ 'organizations/other/nodes/a' => '{"name":"a"}' }, {}],
    'what is not JSON' => [{ "#{root}/roles/a" => '{' }, {}],
    'a node under another name' => [{ "#{root}/nodes/a" => '{"name":"b"}' }, {}],
    'a client under another name' => [{ "#{root}/clients/a" => '{"name":"operator"}' }, {}],
    'a key that is none' => [{ "#{root}/clients/a" => '{"name":"a","public_key":"x"}' }, {}],
    'keys of nobody' => [{ "#{root}/client_keys/a/keys/k" => '{}' }, {}],
    'a file with another checksum' => [{ "#{root}/file_store/checksums/#{'a' * 32}" => 'x' }, {}],
    'a cookbook without its files' => [{ "#{root}/cookbook_artifacts/a/1" => %({"all_files":[{"checksum":"#{'a' * 32}"}]}) }, {}],
  }.each do |what, (files, manifest)|
    it "refuses an archive with #{what}, and changes nothing" do
      api
      before = Dir.glob('data/data/**/*', base: @directory).sort
      good = { "#{root}/clients/good" => client('operator').sub('operator', 'good') }
      manifest = manifest.key?(:files) ? { files: 3 } : manifest
      answer = restore(archive(good.merge(files), **manifest))
      expect([answer.status, Dir.glob('data/data/**/*', base: @directory).sort, Dir.children("#{@directory}/data/tmp")])
        .to match([400, before, []])
    end
  end

  it 'takes the same archive without what is wrong' do
    api
    restored = restore(archive({ "#{root}/clients/good" => client('operator').sub('operator', 'good') }))
    expect([restored.status, JSON.parse(ask(api, 'operator', 'GET', 'clients').body).keys]).to eq([200, %w(bootstrap fleet good operator)])
  end

  it 'does not give the administrator a key of the archive' do
    stranger = OpenSSL::PKey::RSA.new(2048)
    pem = stranger.public_key.to_pem
    api
    restore(archive({ "#{root}/clients/operator" => client('operator', key: pem),
                      "#{root}/client_keys/operator/keys/k" => { 'name' => 'k', 'public_key' => pem, 'expiration_date' => 'infinity' }.to_json }))
    expect([ask(api, 'operator', 'GET', 'clients', key: stranger).status, ask(api, 'operator', 'GET', 'clients').status]).to eq([401, 200])
  end
end
