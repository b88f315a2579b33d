require 'open3'
require 'socket'
require 'tmpdir'
require_relative '../../../spec/cookbooks_helper'
require_relative '../../docker_engine/libraries/engine_config'
require_relative '../libraries/hub_files'
require_relative '../libraries/hub_health'

# The command of the health checks, for real.
describe 'JupyterhubStack.health_command' do
  def checked(answer)
    server = TCPServer.new('127.0.0.1', 0)
    thread = Thread.new do
      client = server.accept
      @asked = client.readline.chomp
      client.write(answer)
      client.close
    end
    command = JupyterhubStack.health_command(server.addr[1], '/hub/health').gsub('$$', '$')
    Open3.capture2e('bash', '-c', command).last.success?.tap { thread.join }
  ensure
    server.close
  end

  it 'passes on 200 alone' do
    expect(checked("HTTP/1.1 200 OK\r\n\r\n")).to be(true)
    expect(@asked).to eq('GET /hub/health HTTP/1.0')
    expect(checked("HTTP/1.1 503 Service Unavailable\r\n\r\n")).to be(false)
    expect(checked('')).to be(false)
  end

  it 'fails where nothing listens' do
    port = TCPServer.open('127.0.0.1', 0) { |server| server.addr[1] }
    expect(Open3.capture2e('bash', '-c', JupyterhubStack.health_command(port, '/').gsub('$$', '$')).last).not_to be_success
  end
end

describe JupyterhubStack::Health do
  let(:key) { OpenSSL::PKey::EC.generate('prime256v1') }
  let(:certificate) do
    OpenSSL::X509::Certificate.new.tap do |made|
      made.version = 2
      made.serial = 1
      made.subject = made.issuer = OpenSSL::X509::Name.parse('/CN=test')
      made.public_key = key
      made.not_before = Time.now - 60
      made.not_after = Time.now + 600
      made.add_extension(OpenSSL::X509::ExtensionFactory.new.create_extension('subjectAltName', 'DNS:localhost'))
      made.sign(key, 'SHA256')
    end
  end

  # One TLS connection that gets one answer.
  def serving(status)
    context = OpenSSL::SSL::SSLContext.new
    context.key = key
    context.cert = certificate
    server = OpenSSL::SSL::SSLServer.new(TCPServer.new('127.0.0.1', 0), context)
    thread = Thread.new do
      client = server.accept
      client.readline
      client.write("HTTP/1.1 #{status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
      client.close
    rescue OpenSSL::SSL::SSLError
      nil
    end
    yield "https://localhost:#{server.to_io.addr[1]}/hub/health"
  ensure
    thread.join(5)
    server.close
  end

  around { |example| Dir.mktmpdir { |directory| (@ca = "#{directory}/ca.crt") && example.run } }

  it 'is well on 200, and says what it met else' do
    File.write(@ca, certificate.to_pem)
    serving('200 OK') { |url| expect(described_class.new(url, @ca).ok?).to be(true) }
    serving('502 Bad Gateway') do |url|
      health = described_class.new(url, @ca)
      expect([health.ok?, health.last]).to eq([false, 'status 502'])
    end
  end

  it 'trusts nobody but the authority' do
    other = OpenSSL::PKey::EC.generate('prime256v1')
    File.write(@ca, certificate.dup.tap { |made| made.public_key = other }.sign(other, 'SHA256').to_pem)
    serving('200 OK') do |url|
      health = described_class.new(url, @ca)
      expect([health.ok?, health.last]).to match([false, /certificate/])
    end
  end
end

describe 'jupyterhub_ready' do
  step_into :jupyterhub_ready
  platform 'debian', '13'

  recipe do
    jupyterhub_ready 'https://localhost/hub/health' do
      deadline_s 0
    end
  end

  it 'changes nothing when the hub answers' do
    allow_any_instance_of(JupyterhubStack::Health).to receive(:ok?).and_return(true)
    expect(chef_run.jupyterhub_ready('https://localhost/hub/health')).not_to be_updated_by_last_action
  end

  it 'raises with the last answer' do
    allow_any_instance_of(JupyterhubStack::Health).to receive(:ok?).and_return(false)
    expect { chef_run }.to raise_error(%r{https://localhost/hub/health did not answer 200 within 0 s \(not asked yet\): see `docker service logs hubfleet_hub`})
  end
end
