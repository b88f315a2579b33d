require 'tmpdir'
require_relative '../../web_tls/libraries/certificate'
require_relative '../libraries/infra_server'

describe ChefInfraServer do
  around { |example| Dir.mktmpdir { |directory| (@directory = directory) && example.run } }

  def write(name, text, mode = 0o600)
    path = "#{@directory}/#{name}"
    File.write(path, text)
    File.chmod(mode, path)
    path
  end

  def pair(name = 'chef.hubfleet.internal')
    key = OpenSSL::PKey::EC.generate('prime256v1')
    made = OpenSSL::X509::Certificate.new
    made.version = 2
    made.serial = 1
    made.subject = made.issuer = OpenSSL::X509::Name.parse("/CN=#{name}")
    made.public_key = key
    made.not_before = Time.now - 60
    made.not_after = Time.now + 3600
    made.add_extension(OpenSSL::X509::ExtensionFactory.new.create_extension('subjectAltName', "DNS:#{name}"))
    made.sign(key, 'SHA256')
    [write('server.crt', made.to_pem), write('server.key', key.to_pem)]
  end

  describe 'the certificate pair' do
    let(:fqdn) { 'chef.hubfleet.internal' }

    it 'may be missing altogether' do
      expect { described_class.check_pair!(nil, nil, fqdn) }.not_to raise_error
    end

    it 'may be a matching one' do
      expect { described_class.check_pair!(*pair, fqdn) }.not_to raise_error
    end

    it 'is never one file alone' do
      certificate, key = pair
      [[certificate, nil], [nil, key]].each do |files|
        expect { described_class.check_pair!(*files, fqdn) }.to raise_error(described_class::Invalid, /both or neither/)
      end
    end

    it 'is there' do
      certificate, = pair
      expect { described_class.check_pair!(certificate, '/no/such.key', fqdn) }.to raise_error(described_class::Invalid, %r{/no/such.key: no such file})
    end

    it 'belongs together' do
      certificate, = pair
      other = write('other.key', OpenSSL::PKey::EC.generate('prime256v1').to_pem)
      expect { described_class.check_pair!(certificate, other, fqdn) }.to raise_error(WebTls::Certificate::Invalid, /does not belong/)
    end

    it 'covers the name of the server' do
      expect { described_class.check_pair!(*pair('other.internal'), fqdn) }.to raise_error(WebTls::Certificate::Invalid, /does not cover/)
    end
  end

  describe described_class::Ctl do
    # A control program that answers as the real one prints.
    def ctl(script)
      described_class.new(write('ctl', "#!/bin/sh\n#{script}", 0o700), pause_s: 0)
    end

    it 'takes no name for another that begins with it' do
      expect(ctl("printf 'hubfleet2\\n hubfleet \\n'").organizations).to eq(%w(hubfleet2 hubfleet))
    end

    it 'reads the names of keys' do
      keys = ctl(%([ "$*" = 'list-client-keys org org-validator' ] && printf '\\nname: default\\nexpired: false\\n\\nname: new\\nexpired: false\\n'))
      expect(keys.client_keys('org', 'org-validator')).to eq(%w(default new))
    end

    it 'asks again while the server comes up' do
      count = "#{@directory}/count"
      expect(ctl("echo x >> #{count}; [ $(wc -l < #{count}) -ge 3 ] && echo pivotal").users).to eq(%w(pivotal))
    end

    it 'says what the program said when it gives up' do
      expect { ctl('echo no database >&2; exit 1').users }.to raise_error(ChefInfraServer::Invalid, /user-list: no database/)
    end
  end

  it 'names a key by what it is' do
    one, two = Array.new(2) { OpenSSL::PKey::RSA.new(2048) }
    expect(described_class.key_name(one.public_to_pem)).to match(/\Ahubfleet-\h{16}\z/)
    expect(described_class.key_name(one.public_to_pem)).to eq(described_class.key_name(one.public_to_pem.strip))
    expect(described_class.key_name(one.public_to_pem)).not_to eq(described_class.key_name(two.public_to_pem))
  end

  it 'knows another configuration, certificate and version from the last' do
    file = write('chef-server.rb', 'one')
    before = described_class.fingerprint([file, nil], '15')
    expect([described_class.fingerprint([file], '15'), described_class.fingerprint([file], '16')]).to match([before, satisfy { |it| it != before }])
    write('chef-server.rb', 'two')
    expect(described_class.fingerprint([file], '15')).not_to eq(before)
  end

  it 'knows what is installed' do
    expect([described_class.installed_version('dpkg'), described_class.installed_version('no-such-package')]).to match([/\A\d/, nil])
  end
end
