require 'openssl'

module WebTls
  # A certificate in PEM and the questions that must be answered before a server may use it.
  class Certificate
    class Invalid < StandardError; end

    def initialize(pem)
      @leaf = OpenSSL::X509::Certificate.new(pem)
    rescue OpenSSL::X509::CertificateError => e
      raise Invalid, "not a certificate in PEM: #{e.message}"
    end

    # Raises Invalid with the first thing that is wrong; returns true otherwise.
    def check!(private_key: nil, server_names: [], now: Time.now)
      raise Invalid, "the certificate is valid from #{@leaf.not_before}, now it is #{now}: check the clock" if now < @leaf.not_before
      raise Invalid, "the certificate ended on #{@leaf.not_after}" if now > @leaf.not_after
      raise Invalid, 'the private key does not belong to the certificate' unless private_key.nil? || key_matches?(private_key)

      missing = server_names.reject { |name| covers?(name) }
      raise Invalid, "the certificate does not cover #{missing.join(', ')}" unless missing.empty?

      true
    end

    def not_before
      @leaf.not_before
    end

    def not_after
      @leaf.not_after
    end

    private

    def key_matches?(pem)
      @leaf.check_private_key(OpenSSL::PKey.read(pem))
    rescue OpenSSL::PKey::PKeyError
      raise Invalid, 'not a private key in PEM'
    end

    def covers?(name)
      OpenSSL::SSL.verify_certificate_identity(@leaf, name)
    end
  end
end
