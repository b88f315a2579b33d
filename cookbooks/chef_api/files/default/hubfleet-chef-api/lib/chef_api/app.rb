require 'ffi_yajl'
require 'stringio'
require_relative 'authorization'
require_relative 'documents'
require_relative 'errors'

module ChefApi
  # The Rack application: authentication, then authorization, then chef-zero, one request at a
  # time; one line in the log for each.
  class App
    # A node with all of Ohai's data has some hundred kB; cookbook files are smaller than this too.
    MAX_BODY = 10 * 1024 * 1024
    STATUS_PATH = '/_status'.freeze
    # A segment of a path once decoded; what chef-zero accepts as a name, and no more.
    SEGMENT = /\A(?!\.{1,2}\z)[A-Za-z0-9_.:@+~-]{1,255}\z/
    # chef-zero adds others, among them one that lets any web page read the answer.
    HEADERS = %w(Content-Type X-Ops-Server-API-Version Location Allow).freeze

    def initialize(organization:, authentication:, authorization:, backend:, log:)
      @root = ['organizations', organization]
      @authentication = authentication
      @authorization = authorization
      @backend = backend
      @log = log
      @lock = Mutex.new
    end

    def call(env)
      return answer(200, 'status' => 'pong') if env['PATH_INFO'] == STATUS_PATH && env['REQUEST_METHOD'] == 'GET'

      started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      response = guarded(env)
      @log.call(client: env['chef_api.client'] || '-', method: env['REQUEST_METHOD'], path: env['PATH_INFO'],
                status: response.first, ms: ((Process.clock_gettime(Process::CLOCK_MONOTONIC) - started) * 1000).round)
      response
    end

    private

    def guarded(env)
      handle(env)
    rescue Refused => e
      answer(e.status, 'error' => [e.message])
    rescue StandardError => e
      failed(e)
    end

    def handle(env)
      body = nil
      identity = @authentication.call(env) { body = read_body(env) }
      env['chef_api.client'] = identity.name
      path = segments(env['PATH_INFO'])
      authorize(identity, env['REQUEST_METHOD'], path, body)
      status, headers, content = cleaned(@lock.synchronize { @backend.call(forwarded(env, path, body)) })
      [status, headers, env['REQUEST_METHOD'] == 'HEAD' ? [] : content]
    end

    def read_body(env)
      raise Refused.new(413, "the body is larger than #{MAX_BODY} bytes") if env['CONTENT_LENGTH'].to_i > MAX_BODY

      body = env['rack.input']&.read(MAX_BODY + 1).to_s
      raise Refused.new(413, "the body is larger than #{MAX_BODY} bytes") if body.bytesize > MAX_BODY

      body
    end

    # Decoded once, here: authorization and chef-zero must read the same names.
    def segments(path)
      path.split('/').reject(&:empty?).map do |segment|
        decoded = segment.gsub(/%(\h\h)/) { Regexp.last_match(1).hex.chr }
        raise Refused.new(400, 'the path holds a character that no name may have') unless SEGMENT.match?(decoded)

        decoded
      end
    end

    def authorize(identity, method, path, body)
      raise Refused.new(404, "no such organization: this server has #{@root.join('/')}") unless path.first(2) == @root

      inner = path.drop(2)
      verb = method == 'HEAD' ? 'GET' : method
      document = Documents.check!(verb, inner, body)
      @authorization.call(Authorization::Request.new(identity: identity, verb: verb, path: inner, document: document))
    end

    def forwarded(env, path, body)
      env.merge('PATH_INFO' => "/#{path.join('/')}", 'rack.input' => StringIO.new(body))
    end

    # chef-zero answers its own exceptions with a backtrace.
    def cleaned(response)
      return failed(response && response.last.join) if response.nil? || response.first >= 500 && ![503, 507].include?(response.first)

      status, headers, body = response
      [status, headers.select { |name, _value| HEADERS.include?(name) }.transform_keys(&:downcase), body]
    end

    def failed(cause)
      text = cause.is_a?(Exception) ? cause.full_message(highlight: false) : cause.to_s
      @log.call(failure: text)
      answer(500, 'error' => ['internal error: see the log of the Chef API'])
    end

    def answer(status, document)
      [status, { 'content-type' => 'application/json' }, [FFI_Yajl::Encoder.encode(document)]]
    end
  end
end
