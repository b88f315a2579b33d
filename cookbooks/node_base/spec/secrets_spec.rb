require 'tmpdir'
require_relative '../libraries/secrets'

describe Hubfleet::Secrets do
  around { |example| Dir.mktmpdir { |directory| (@root = directory) && example.run } }

  subject(:secrets) { described_class.new('files', @root) }

  before { Dir.mkdir("#{@root}/hub") }

  it 'reads back what was written, for root alone' do
    secrets.write('hub', 'cookie_secret', 'value')
    expect([secrets.read('hub', 'cookie_secret'), File.stat("#{@root}/hub/cookie_secret").mode & 0o777]).to eq(['value', 0o600])
  end

  it 'writes only what differs' do
    expect(%w(one one two).map { |value| secrets.write('hub', 'token', value) }).to eq([true, false, true])
  end

  it 'leaves no temporary file' do
    secrets.write('hub', 'token', 'value')
    expect(Dir.children("#{@root}/hub")).to eq(%w(token))
  end

  it 'says which secret is missing and where' do
    expect { secrets.read('hub', 'token') }.to raise_error(described_class::Missing, "no secret token of role hub in #{@root}")
  end

  it 'knows whether there is one' do
    secrets.write('hub', 'token', 'value')
    expect([secrets.exist?('hub', 'token'), secrets.exist?('hub', 'other'), secrets.exist?('no_role', 'token')]).to eq([true, false, false])
  end

  ['../hub', 'hub/x', '', '.', 'HUB', 'a b'].each do |name|
    it "refuses the name #{name.inspect}" do
      [-> { secrets.read(name, 'token') }, -> { secrets.read('hub', name) }, -> { secrets.write('hub', name, 'x') }].each do |call|
        expect(&call).to raise_error(described_class::Error, /no name of a role or secret/)
      end
    end
  end

  it 'refuses an empty value' do
    expect { secrets.write('hub', 'token', '') }.to raise_error(described_class::Error, /empty/)
  end

  it 'does not repeat a value that it cannot write' do
    expect { secrets.write('absent', 'token', 'canary') }.to raise_error(described_class::Error) { |error| expect(error.message).not_to include('canary') }
  end

  it 'refuses a store it does not know' do
    expect { described_class.new('vault', '/x') }.to raise_error(described_class::Error, /'files' or 'ssm'/)
  end

  it 'keeps what is too long for the free tier of the parameter store' do
    client = double
    allow(client).to receive(:put_parameter)
    described_class::SsmStore.new('/hubfleet/staging', 'eu-central-1', client: client).write('hub', 'acme_certificate', 'text')
    expect(client).to have_received(:put_parameter)
      .with(name: '/hubfleet/staging/hub/acme_certificate', value: 'text', type: 'SecureString', tier: 'Intelligent-Tiering', overwrite: true)
  end

  it 'asks the parameter store of the region that the environment names, with nothing else to tell it' do
    require 'aws-sdk-ssm'
    asked = nil
    allow(Aws::SSM::Client).to receive(:new).and_wrap_original do |original, **options|
      original.call(**options, stub_responses: { get_parameter: lambda do |request|
        asked = request.client.config.region
        { parameter: { value: "of #{request.params[:name]}" } }
      end })
    end
    node = { 'secrets' => { 'store' => 'ssm', 'path' => '/hubfleet/staging' }, 'fleet' => { 'aws' => { 'region' => 'eu-central-1' } } }
    expect([described_class.for(node).read('hub', 'token'), asked]).to eq(['of /hubfleet/staging/hub/token', 'eu-central-1'])
  end

  it 'says what is missing for the parameter store' do
    store = described_class::SsmStore.new('/hubfleet/staging/', 'eu-central-1')
    allow(store).to receive(:require).with('aws-sdk-ssm').and_raise(LoadError)
    expect { store.read('hub', 'token') }.to raise_error(described_class::Error, /aws-sdk-ssm is not installed/)
  end
end
