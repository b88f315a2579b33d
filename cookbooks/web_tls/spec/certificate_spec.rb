require 'openssl'
require_relative '../libraries/certificate'

describe WebTls::Certificate do
  let(:key) { OpenSSL::PKey::RSA.new(2048) }
  let(:other) { OpenSSL::PKey::RSA.new(2048) }

  def pem(from: Time.now - 60, to: Time.now + 3600, names: 'DNS:hub.test,DNS:localhost,IP:127.0.0.1')
    certificate = OpenSSL::X509::Certificate.new
    certificate.version = 2
    certificate.serial = 1
    certificate.subject = certificate.issuer = OpenSSL::X509::Name.parse('/CN=test')
    certificate.public_key = key.public_key
    certificate.not_before = from
    certificate.not_after = to
    certificate.add_extension(OpenSSL::X509::ExtensionFactory.new.create_extension('subjectAltName', names))
    certificate.sign(key, 'SHA256').to_pem
  end

  def check(text = pem, **options)
    described_class.new(text).check!(**options)
  end

  it 'accepts its own key and the names it covers' do
    expect(check(private_key: key.to_pem, server_names: %w(hub.test localhost 127.0.0.1))).to be(true)
  end

  it 'refuses the key of another certificate' do
    expect { check(private_key: other.to_pem) }.to raise_error(described_class::Invalid, /does not belong/)
  end

  it 'refuses a name it does not cover, and says which' do
    expect { check(server_names: %w(localhost other.test)) }.to raise_error(described_class::Invalid, 'the certificate does not cover other.test')
  end

  it 'refuses a certificate of the past' do
    expect { check(pem(to: Time.now - 1)) }.to raise_error(described_class::Invalid, /ended/)
  end

  it 'suspects the clock when the certificate is of the future' do
    expect { check(pem(from: Time.now + 60)) }.to raise_error(described_class::Invalid, /check the clock/)
  end

  it 'refuses what is no certificate or no key, without repeating it' do
    expect { check('canary') }.to raise_error(described_class::Invalid) { |error| expect(error.message).not_to include('canary') }
    expect { check(private_key: 'canary') }.to raise_error(described_class::Invalid) { |error| expect(error.message).not_to include('canary') }
  end
end
