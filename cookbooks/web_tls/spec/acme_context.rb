require 'openssl'
require 'tmpdir'
require_relative '../../node_base/libraries/secrets'
require_relative '../libraries/acme'

# Certificates as an authority issues them, and a secret store that can be out of order.
module AcmeContext
  NOW = Time.at(1_800_000_000)
  DAY = 86_400
  DIRECTORY = 'https://acme.test/directory'.freeze
  HOST = 'hub.school.test'.freeze

  # Secrets in memory; what is put into `broken` (:read, :write) raises.
  class Store
    attr_reader :values, :broken

    def initialize
      @values = {}
      @broken = []
    end

    def read(_role, name)
      raise Hubfleet::Secrets::Error, 'cannot read' if broken.include?(:read)

      values[name] || raise(Hubfleet::Secrets::Missing, "no #{name}")
    end

    def write(_role, name, value)
      raise Hubfleet::Secrets::Error, 'cannot write' if broken.include?(:write)

      changed = values[name] != value
      values[name] = value
      changed
    end
  end

  module_function

  # [certificate, key], as PEM.
  def issued(from: NOW - 3_600, days: 90, host: HOST)
    key = OpenSSL::PKey::EC.generate('prime256v1')
    certificate = OpenSSL::X509::Certificate.new
    certificate.version = 2
    certificate.serial = rand(1 << 60)
    certificate.subject = certificate.issuer = OpenSSL::X509::Name.parse('/CN=test')
    certificate.public_key = key
    certificate.not_before = from
    certificate.not_after = from + (days * DAY)
    certificate.add_extension(OpenSSL::X509::ExtensionFactory.new.create_extension('subjectAltName', "DNS:#{host}"))
    [certificate.sign(key, 'SHA256').to_pem, key.to_pem]
  end

  def kept(directory: DIRECTORY, **options)
    WebTls::AcmeKept.new(directory, *issued(**options))
  end
end
