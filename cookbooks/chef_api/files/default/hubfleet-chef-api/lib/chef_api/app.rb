require 'ffi_yajl'
require 'stringio'
require_relative 'authorization'
require_relative 'documents'
require_relative 'errors'

module ChefApi
  # The Rack application: authentication, then authorization, then chef-zero, one request at a
  # time; one line in the log for each, with the reason of a refusal.
  class App
    # A node with all of Ohai's data has some hundred kB; cookbook files are smaller than this too.
    MAX_BODY = 10 * 1024 * 1024
    # Header fields of a request, and bytes in them: chef-client sends some 25 with 2 kB.
    MAX_HEADERS = 100
    MAX_HEADER_BYTES = 32 * 1024
    STATUS_PATH = '/_status'.freeze
    # A segment of a path once decoded; what chef-zero accepts as a name, and no more.
    SEGMENT = /\A(?!\.{1,2}\z)[A-Za-z0-9_.:@+~-]{1,255}\z/
    # chef-zero adds others, among them one that lets any web page read the answer.
    HEADERS = %w(Content-Type X-Ops-Server-API-Version Location Allow).freeze

    # records: answers find(path) with the parsed object below the organization.
    def initialize(organization:, authentication:, authorization:, replays:, records:, backend:, log:)
      @root = ['organizations', organization]
      @authentication = authentication
      @authorization = authorization
      @replays = replays
      @records = records
      @backend = backend
      @log = log
      @lock = Mutex.new
    end

    def call(env)
      return answer(200, 'status' => 'pong') if env['PATH_INFO'] == STATUS_PATH && env['REQUEST_METHOD'] == 'GET'

      started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      response = guarded(env)
      @log.call(client: env['chef_api.client'] || '-', method: env['REQUEST_METHOD'], path: env['PATH_INFO'],
                status: response.first, ms: ((Process.clock_gettime(Process::CLOCK_MONOTONIC) - started) * 1000).round,
                **{ reason: env['chef_api.reason'] }.compact)
      response
    end

    private

    def guarded(env)
      handle(env)
    rescue Refused => e
      # chef-client shows the status of a refused save and no word of the reason.
      env['chef_api.reason'] = e.message
      answer(e.status, 'error' => [e.message])
    rescue StandardError => e
      failed(e)
    end

    def handle(env)
      check_header_size(env)
      body = nil
      proof = @authentication.call(env) { body = read_body(env) }
      env['chef_api.client'] = proof.identity.name
      path = segments(env['PATH_INFO'])
      request = request(proof.identity, env['REQUEST_METHOD'], path, body)
      status, headers, content = @lock.synchronize { perform(request, proof, body) { cleaned(@backend.call(forwarded(env, path, body))) } }
      [status, headers, env['REQUEST_METHOD'] == 'HEAD' ? [] : content]
    end

    # What a right depends on must not change before it is used, so both happen under the lock.
    def perform(request, proof, body, &block)
      @authorization.call(request)
      Documents.check!(request.verb, request.path, request.document, body)
      request.write? ? @replays.once(proof.text, at: proof.at, client: proof.identity.name, &block) : yield
    end

    def check_header_size(env)
      fields = env.select { |name, _value| name.start_with?('HTTP_') }
      size = fields.sum { |name, value| name.bytesize + value.bytesize }
      return if fields.size <= MAX_HEADERS && size <= MAX_HEADER_BYTES

      raise Refused.new(431, "more than #{MAX_HEADERS} header fields or #{MAX_HEADER_BYTES} bytes of them")
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

    def request(identity, method, path, body)
      raise Refused.new(404, "no such organization: this server has #{@root.join('/')}") unless path.first(2) == @root

      inner = path.drop(2)
      verb = method == 'HEAD' ? 'GET' : method
      Authorization::Request.new(identity: identity, verb: verb, path: inner, document: Documents.read!(verb, inner, body),
                                 current: -> { @records.find(inner) }, find: @records.method(:find))
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
