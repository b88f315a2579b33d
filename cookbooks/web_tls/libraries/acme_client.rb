require 'mixlib/shellout'
require 'openssl'
require 'shellwords'
require 'tmpdir'

module WebTls
  # dehydrated, as a function: an account's key and names in, a chain and its key out. What it needs
  # lies in a directory for root alone that is gone afterwards.
  class AcmeClient
    # The authority, or the way to it, said no.
    class Refused < StandardError
      attr_reader :retry_after_s

      def initialize(message, retry_after_s: 0)
        super(message)
        @retry_after_s = retry_after_s
      end
    end

    PROGRAM = 'dehydrated'.freeze
    # Seconds for registering or for an order: the authority looks up and fetches in between.
    TIMEOUT_S = 120
    BLOCK = /-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?/m

    def self.account_key
      # ES256 is new in dehydrated 0.7.1 and works; RSA does with every version and authority.
      OpenSSL::PKey::RSA.new(2048).to_pem
    end

    # challenges: directory that port 80 serves below /.well-known/acme-challenge/.
    def initialize(directory, email, challenges, program: PROGRAM)
      @directory = directory
      @email = email
      @challenges = challenges
      @program = program
    end

    # Chain and private key, both PEM; raises Refused.
    def issue(account_key, names)
      key = OpenSSL::PKey::EC.generate('prime256v1')
      Dir.mktmpdir('acme') do |room|
        prepare(room, account_key, request(key, names))
        # Of a key that it knows, the authority only says which account it is (RFC 8555, 7.3.1).
        run(room, '--register', '--accept-terms')
        chain = run(room, '--signcsr', "#{room}/request.pem").scan(BLOCK)
        raise Refused, 'dehydrated printed no certificate' if chain.empty?

        [chain.map { |block| "#{block.chomp}\n" }.join, key.to_pem]
      end
    end

    # What dehydrated's output says of the reason, in one line.
    def self.reason(output)
      type = output[/urn:ietf:params:acme:error:\w+/]
      detail = output[/"detail"\]?:?\s+"((?:[^"\\]|\\.)+)"/, 1]
      text = [type&.split(':')&.last, detail].compact.join(': ')
      text = output.lines.map(&:strip).reject(&:empty?).last.to_s if text.empty?
      text.delete('\\')[0, 300]
    end

    private

    def request(key, names)
      OpenSSL::X509::Request.new.tap do |request|
        request.version = 0
        request.public_key = key
        alternatives = OpenSSL::X509::ExtensionFactory.new.create_extension('subjectAltName', names.map { |name| "DNS:#{name}" }.join(','))
        request.add_attribute(OpenSSL::X509::Attribute.new('extReq', OpenSSL::ASN1::Set([OpenSSL::ASN1::Sequence([alternatives])])))
        request.sign(key, 'SHA256')
      end.to_pem
    end

    def prepare(room, account_key, request)
      File.write("#{room}/account.pem", account_key, perm: 0o600)
      File.write("#{room}/request.pem", request)
      # dehydrated reads it as a script.
      values = {
        'WELLKNOWN' => @challenges, 'CONTACT_EMAIL' => @email, 'ORDER_TIMEOUT' => '60',
        'CURL_OPTS' => '--connect-timeout 10 --max-time 30'
      }
      File.write("#{room}/config", values.map { |name, value| "#{name}=#{Shellwords.escape(value)}\n" }.join)
    end

    def run(room, *arguments)
      argv = [@program, '--config', "#{room}/config", '--ca', @directory, '--privkey', "#{room}/account.pem", *arguments]
      done = Mixlib::ShellOut.new(*argv, timeout: TIMEOUT_S, environment: { 'TMPDIR' => room }).run_command
      return done.stdout unless done.error?

      output = "#{done.stdout}\n#{done.stderr}"
      raise Refused.new(self.class.reason(output), retry_after_s: output[/^retry-after:\s*(\d+)/i, 1].to_i)
    rescue Mixlib::ShellOut::CommandTimeout
      raise Refused, "no end after #{TIMEOUT_S} s"
    rescue Errno::ENOENT
      raise Refused, "#{@program} is not installed"
    end
  end
end
