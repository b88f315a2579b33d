require 'openssl' # before mixlib, which loads a part of it only
require 'mixlib/authentication/signedheaderauth'
require 'time'
require_relative 'errors'

module ChefApi
  # Checks the signature of a request: protocol 1.3 of the Chef API and nothing older.
  # It covers method, path, body, time, client and API version. Headers that are missing,
  # malformed or of another version are answered by 400; everything that claims to be
  # somebody and cannot prove it by 401.
  class Authentication
    VERSION = '1.3'.freeze
    ALGORITHM = 'sha256'.freeze
    REQUIRED = %w(X-Ops-Sign X-Ops-Userid X-Ops-Timestamp X-Ops-Content-Hash X-Ops-Authorization-1).freeze
    TIMESTAMP = /\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/
    SIGNATURE_HEADER = /\AHTTP_X_OPS_AUTHORIZATION_([1-9]\d?)\z/
    # Lines of 60 characters: enough for a key of 8192 bits.
    SIGNATURE_LINES = 23

    # A request whose signature is good: who signed it, which text, and the time in it.
    Proof = Struct.new(:identity, :text, :at)

    # identities: answers find(name). clock_skew_s: seconds a request may be old or early.
    def initialize(identities, clock_skew_s:, clock: -> { Time.now })
      @identities = identities
      @clock_skew_s = clock_skew_s
      @clock = clock
    end

    # Returns the proof of who signed the request, or raises Refused. The body is asked for (by
    # the block) only after everything that can be told without it.
    def call(env)
      headers = checked_headers(env)
      check_clock(headers)
      identity = @identities.find(headers['X-Ops-Userid']) || deny(headers)
      body = yield
      deny(headers) unless headers['X-Ops-Content-Hash'] == content_hash(body)

      text = canonical_request(env, headers, body)
      identity.signed_by = signers(identity, signature(env), text)
      deny(headers) if identity.signed_by.empty?
      Proof.new(identity, text, time(headers))
    end

    private

    def checked_headers(env)
      headers = REQUIRED.to_h { |name| [name, env["HTTP_#{name.upcase.tr('-', '_')}"].to_s.strip] }
      missing = headers.select { |_name, value| value.empty? }.keys
      raise Refused.new(400, "missing authentication header: #{missing.join(', ')}") unless missing.empty?

      check_version(headers['X-Ops-Sign'])
      raise Refused.new(400, 'malformed X-Ops-Timestamp: YYYY-MM-DDThh:mm:ssZ is needed') unless time(headers)

      headers
    end

    def check_version(description)
      fields = description.split(';').to_h { |field| field.strip.split('=', 2).push('').first(2) }
      return if fields['version'] == VERSION && fields.fetch('algorithm', ALGORITHM) == ALGORITHM

      raise Refused.new(400, "unsupported X-Ops-Sign: this server accepts version=#{VERSION} with algorithm=#{ALGORITHM} only " \
                             "(authentication_protocol_version '#{VERSION}' in client.rb or config.rb)")
    end

    def time(headers)
      Time.iso8601(headers['X-Ops-Timestamp']) if TIMESTAMP.match?(headers['X-Ops-Timestamp'])
    rescue ArgumentError
      nil
    end

    # chef-client recognises "synchronize the clock" and prints its own help.
    def check_clock(headers)
      now = @clock.call
      return if (now - time(headers)).abs <= @clock_skew_s

      raise Refused.new(401, "check the clock: the request is dated #{headers['X-Ops-Timestamp']}, this server's time is " \
                             "#{now.utc.iso8601}, #{@clock_skew_s} s may lie between; synchronize the clock on your host")
    end

    # An unknown client and a wrong key are not told apart.
    def deny(headers)
      raise Refused.new(401, "failed to authenticate as '#{headers['X-Ops-Userid']}': check node_name and client key")
    end

    def content_hash(body)
      [OpenSSL::Digest::SHA256.digest(body)].pack('m0')
    end

    # Names of the keys that the signature is by: one key may be kept under several.
    def signers(identity, signature, text)
      key = identity.keys.each_value.find { |each| verified?(each, signature, text) }
      key ? identity.keys.filter_map { |name, each| name if each.equal?(key) } : []
    end

    def verified?(key, signature, text)
      key.verify(OpenSSL::Digest.new('SHA256'), signature, text)
    rescue OpenSSL::PKey::PKeyError
      false
    end

    def signature(env)
      lines = env.filter_map { |name, value| [SIGNATURE_HEADER.match(name)[1].to_i, value] if SIGNATURE_HEADER.match?(name) }
      raise Refused.new(400, "more than #{SIGNATURE_LINES} X-Ops-Authorization headers") if lines.size > SIGNATURE_LINES

      lines.sort.map(&:last).join.unpack1('m')
    end

    # The text that a client signs, by the code that clients sign with.
    def canonical_request(env, headers, body)
      Mixlib::Authentication::SignedHeaderAuth.signing_object(
        http_method: env['REQUEST_METHOD'],
        path: env['PATH_INFO'],
        body: body,
        timestamp: headers['X-Ops-Timestamp'],
        user_id: headers['X-Ops-Userid'],
        proto_version: VERSION,
        headers: { 'X-Ops-Server-API-Version' => env['HTTP_X_OPS_SERVER_API_VERSION'] || '0' }
      ).canonicalize_request(ALGORITHM, VERSION)
    end
  end
end
