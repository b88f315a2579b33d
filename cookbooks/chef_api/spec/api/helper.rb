require 'json'
require 'openssl' # before mixlib, which loads a part of it only
require 'mixlib/authentication/signedheaderauth'
require 'rack/mock'
require 'rack/lint'
require 'tmpdir'
require_relative '../../files/default/hubfleet-chef-api/lib/chef_api/service'

# A whole API over a temporary directory, and requests signed as chef-client signs them.
module ApiHelper
  KEYS = Hash.new { |keys, name| keys[name] = OpenSSL::PKey::RSA.new(2048) }
  ROOT = '/organizations/hubfleet'.freeze

  def start_api(directory, log: StringIO.new)
    clients = { 'operator' => { admin: true }, 'bootstrap' => { validator: true }, 'fleet' => { controller: true } }.map do |name, kind|
      path = "#{directory}/#{name}.pub"
      File.write(path, KEYS[name].public_key.to_pem)
      { 'name' => name, 'admin' => kind.fetch(:admin, false), 'validator' => kind.fetch(:validator, false), 'controller' => kind.fetch(:controller, false), 'public_key_file' => path }
    end
    settings = { 'organization' => 'hubfleet', 'port' => 0, 'data_dir' => "#{directory}/data", 'clock_skew_s' => 900, 'clients' => clients }
    Rack::MockRequest.new(Rack::Lint.new(ChefApi::Service.new(settings, output: log).app))
  end

  # Header fields of a signed request as a Rack environment; the block may change them.
  def signed(name, method, path, body = '', key: KEYS[name], at: Time.now, version: '1.3', api_version: '1')
    headers = Mixlib::Authentication::SignedHeaderAuth.signing_object(
      http_method: method, path: path, body: body, timestamp: at.utc.iso8601, user_id: name,
      proto_version: version, headers: { 'X-Ops-Server-API-Version' => api_version }
    ).sign(key).transform_keys { |header| "HTTP_#{header.upcase.tr('-', '_')}" }
    headers['HTTP_X_OPS_SERVER_API_VERSION'] = api_version
    yield headers if block_given?
    headers
  end

  def ask(api, name, method, path, document = nil, **options)
    body = document.nil? || document.is_a?(String) ? document.to_s : document.to_json
    path = "#{ROOT}/#{path}" unless path.start_with?('/')
    api.request(method, path, signed(name, method, path, body, **options).merge(input: body, 'HTTP_ACCEPT' => 'application/json',
                                                                                'CONTENT_TYPE' => 'application/json'))
  end

  def create_client(api, name)
    ask(api, 'operator', 'POST', 'clients', { name: name, public_key: KEYS[name].public_key.to_pem })
  end
end

# Memory where there is some: the store syncs every write.
scratch = File.directory?('/dev/shm') ? '/dev/shm' : Dir.tmpdir

RSpec.configure do |config|
  config.include ApiHelper
  config.around(:each, :scratch) { |example| Dir.mktmpdir('chef-api-spec', scratch) { |directory| (@directory = directory) && example.run } }
end
