require 'socket'
require_relative '../../docker_engine/spec/fake_engine'
require_relative '../../docker_engine/libraries/engine_config'
Dir[File.expand_path('../libraries/*.rb', __dir__)].sort.each { |file| require file }

describe Swarm::State do
  it 'reads what /info says' do
    state = described_class.new('LocalNodeState' => 'active', 'NodeID' => 'n1', 'NodeAddr' => '10.0.0.2', 'ControlAvailable' => false,
                                'RemoteManagers' => [{ 'NodeID' => 'm1', 'Addr' => '10.0.0.1:2377' }], 'Error' => '')
    expect([state.active?, state.manager?, state.node_addr, state.manager_addrs]).to eq([true, false, '10.0.0.2', ['10.0.0.1:2377']])
  end

  it 'reads an engine outside of any swarm, whose lists are null' do
    state = described_class.new('LocalNodeState' => 'inactive', 'RemoteManagers' => nil, 'Cluster' => nil)
    expect([state.inactive?, state.manager_addrs, state.cluster]).to eq([true, [], {}])
  end

  { 'locked' => /swarm unlock/, 'error' => /broken raft/, 'pending' => /manager reachable/ }.each do |name, remedy|
    it "names the remedy for #{name}" do
      expect { described_class.new('LocalNodeState' => name, 'Error' => 'broken raft').reject_unusable! }.to raise_error(Swarm::Error, remedy)
    end
  end

  it 'sees an engine that has left half way' do
    expect { described_class.new('LocalNodeState' => 'active', 'NodeID' => '').reject_unusable! }.to raise_error(Swarm::Error, /left its swarm half way/)
    expect { described_class.new('LocalNodeState' => 'active', 'NodeID' => 'n1').reject_unusable! }.not_to raise_error
  end
end

describe Swarm::Addresses do
  def interface(name, address)
    Struct.new(:name, :addr).new(name, address && Addrinfo.ip(address))
  end

  it 'takes the single IPv4 address of the interface' do
    list = [interface('lo', '127.0.0.1'), interface('eth0', 'fe80::1'), interface('eth0', '10.0.0.2'), interface('eth1', nil)]
    expect(described_class.ipv4_of('eth0', list)).to eq('10.0.0.2')
  end

  it 'never chooses between two, nor guesses another interface' do
    two = [interface('eth0', '10.0.0.2'), interface('eth0', '10.0.0.3')]
    expect { described_class.ipv4_of('eth0', two) }.to raise_error(Swarm::Error, /has 2 IPv4 addresses: 10.0.0.2, 10.0.0.3/)
    expect { described_class.ipv4_of('ens5', two) }.to raise_error(Swarm::Error, /swarm.interface ens5 has no IPv4 address \(interfaces here: eth0\)/)
  end

  it 'tells an address from what only looks like one' do
    expect(%w(10.0.0.1 10.0.0.1/24 fe80::1 hub 10.0.0.256).map { |text| described_class.ipv4?(text) }).to eq([true, false, false, false, false])
  end

  it 'resolves a name with its port, an unknown one to nothing' do
    expect(described_class.resolve('localhost:2377')).to eq(['127.0.0.1:2377'])
    expect(described_class.resolve('no-such-host.invalid:2377')).to eq([])
  end
end

describe Swarm::Engine do
  let(:api) { FakeEngine.new }
  let(:engine) { described_class.new(api) }

  it 'asks for a new swarm with exactly these' do
    engine.init(advertise_addr: '10.0.0.1', port: 2377, default_addr_pool: '10.88.0.0/16', subnet_size: 22)
    expect(api.requests).to eq([['POST /swarm/init', { 'ListenAddr' => '0.0.0.0:2377', 'AdvertiseAddr' => '10.0.0.1:2377',
                                                       'DefaultAddrPool' => ['10.88.0.0/16'], 'SubnetSize' => 22, 'ForceNewCluster' => false }]])
  end

  it 'asks to join with exactly these' do
    engine.join(manager: 'hub:2377', token: 'SECRET', advertise_addr: '10.0.0.2', port: 2377)
    expect(api.requests).to eq([['POST /swarm/join', { 'ListenAddr' => '0.0.0.0:2377', 'AdvertiseAddr' => '10.0.0.2:2377',
                                                       'RemoteAddrs' => ['hub:2377'], 'JoinToken' => 'SECRET' }]])
  end

  it 'takes the network of this very name, since the filter of the API matches parts' do
    api = FakeEngine.new('GET /networks' => [{ 'Name' => 'my-notebooks' }, { 'Name' => 'notebooks' }])
    expect(described_class.new(api).network('notebooks')).to eq('Name' => 'notebooks')
    expect(described_class.new(FakeEngine.new('GET /networks' => [{ 'Name' => 'my-notebooks' }])).network('notebooks')).to be_nil
  end

  it 'updates a node at the version it has read' do
    engine.update_node({ 'ID' => 'n1', 'Version' => { 'Index' => 7 } }, { 'Role' => 'worker' })
    expect(api.requests).to eq([['POST /nodes/n1/update', { 'Role' => 'worker' }, { 'version' => 7 }]])
  end
end

describe Swarm::Joining do
  # A clock that only waiting moves.
  def deadline(seconds)
    now = 0
    Swarm::Deadline.new(seconds, clock: -> { now }, pause: ->(time) { now += time })
  end

  def join(answers, seconds: 30, managers: ['hub.test:2377'], token: -> { 'SECRET' })
    @api = FakeEngine.new(answers)
    described_class.new(Swarm::Engine.new(@api), managers: managers, advertise_addr: '10.0.0.2', port: 2377, token: token, deadline: deadline(seconds)).run
  end

  def states(*names)
    ->(_) { { 'Swarm' => { 'LocalNodeState' => names.length > 1 ? names.shift : names.first } } }
  end

  def refuse(message)
    ->(_) { raise DockerEngine::Error.new(message, status: 503) }
  end

  it 'joins' do
    join({ 'GET /info' => states('active') })
    expect(@api.changes.map(&:first)).to eq(['POST /swarm/join'])
  end

  it 'waits for a join that goes on in the background' do
    join({ 'POST /swarm/join' => refuse('Timeout was reached before node joined'), 'GET /info' => states('pending', 'pending', 'active') })
    expect(@api.changes.map(&:first)).to eq(['POST /swarm/join'])
  end

  it 'ends a hanging attempt before it tries the next manager' do
    join({ 'GET /info' => states(*Array.new(22, 'pending'), 'active') }, managers: %w(a.test:2377 b.test:2377))
    expect(@api.changes.map { |verb, body| [verb, *Array(body.to_h['RemoteAddrs'])] })
      .to eq([['POST /swarm/join', 'a.test:2377'], ['POST /swarm/leave'], ['POST /swarm/join', 'b.test:2377']])
  end

  it 'waits for the token, and reads it anew for each attempt' do
    tokens = [nil, nil, 'SECRET']
    join({ 'GET /info' => states('active') }, token: -> { tokens.length > 1 ? tokens.shift : tokens.first })
    expect(@api.changes.first.last['JoinToken']).to eq('SECRET')
  end

  it 'says which manager refused and why, without the token' do
    expect { join({ 'POST /swarm/join' => refuse('invalid join token SECRET'), 'GET /info' => states('inactive') }, seconds: 5) }
      .to raise_error(Swarm::Error, 'could not join a swarm in time: hub.test:2377: invalid join token [token]')
  end

  it 'says that no token was there' do
    expect { join({}, seconds: 5, token: -> {}) }.to raise_error(Swarm::Error, /hub.test:2377: no join token has been published/)
  end

  describe '.check_home!' do
    let(:state) { Swarm::State.new('LocalNodeState' => 'active', 'RemoteManagers' => [{ 'Addr' => '10.0.0.1:2377' }]) }

    def check(*addresses)
      described_class.check_home!(state, ['hub.test:2377'], resolve: ->(_) { addresses })
    end

    it('knows its own swarm') { expect { check('10.0.0.1:2377') }.not_to raise_error }
    it('says nothing while the name does not resolve') { expect { check }.not_to raise_error }

    it 'raises in the swarm of somebody else' do
      expect { check('10.9.9.9:2377') }.to raise_error(Swarm::Error, /another swarm \(managers 10.0.0.1:2377, expected 10.9.9.9:2377\)/)
    end
  end
end

describe Swarm::Diffs do
  let(:desired) do
    { 'Driver' => 'overlay', 'Internal' => false, 'Attachable' => false, 'Options' => { 'encrypted' => '' }, 'IPAM' => { 'Config' => [{ 'Subnet' => '10.89.0.0/20' }] } }
  end

  it 'lets the engine add options and gateways to a network' do
    actual = desired.merge('Options' => { 'encrypted' => '', 'com.docker.network.driver.overlay.vxlanid_list' => '4097' },
                           'IPAM' => { 'Config' => [{ 'Subnet' => '10.89.0.0/20', 'Gateway' => '10.89.0.1' }] })
    expect(described_class.network(actual, desired)).to eq({})
  end

  it 'names what differs' do
    actual = desired.merge('Internal' => true, 'Options' => nil, 'IPAM' => { 'Config' => [{ 'Subnet' => '10.1.0.0/24' }] })
    expect(described_class.network(actual, desired))
      .to eq('internal' => [true, false], 'subnet' => [['10.1.0.0/24'], ['10.89.0.0/20']], 'option encrypted' => [nil, ''])
  end

  it 'changes a node only where it must' do
    spec = { 'Role' => 'worker', 'Availability' => 'active', 'Labels' => { 'a' => '1', 'b' => '2' } }
    expect(described_class.node_spec(spec, labels: { 'a' => '1', 'gone' => nil }, availability: nil)).to be_nil
    expect(described_class.node_spec(spec.merge('Labels' => nil), labels: {}, availability: 'active')).to be_nil
    expect(described_class.node_spec(spec, labels: { 'a' => '3', 'b' => nil }, availability: 'pause'))
      .to eq('Role' => 'worker', 'Availability' => 'pause', 'Labels' => { 'a' => '3' })
  end

  it 'names a secret after its value' do
    expect(described_class.secret_name('token', 'a')).to match(/\Atoken-[0-9a-f]{8}\z/)
    expect(described_class.secret_name('token', 'a')).not_to eq(described_class.secret_name('token', 'b'))
  end

  it 'keeps secrets that are current or used' do
    secrets = %w(old used new).map { |name| { 'ID' => "id-#{name}", 'Spec' => { 'Name' => name } } }
    services = [{ 'Spec' => { 'TaskTemplate' => { 'ContainerSpec' => { 'Secrets' => [{ 'SecretID' => 'id-used' }] } } } },
                { 'Spec' => { 'TaskTemplate' => { 'ContainerSpec' => {} } } }]
    expect(described_class.unused_secrets(secrets, services, 'new').map { |item| item['ID'] }).to eq(['id-old'])
  end
end

describe Swarm::Stack do
  let(:text) { "services:\n  hub: &h\n    image: a:1\n  pin:\n    <<: *h\n    deploy: {labels: {x: y}}\nsecrets: {t: {external: true, name: t-1}}\n" }
  let(:stack) { described_class.new('hubfleet', text) }

  # The services as the engine shows them after a deploy of the file.
  def deployed
    JSON.parse(stack.document)['services'].map do |name, definition|
      { 'ID' => name, 'Spec' => { 'Name' => "hubfleet_#{name}", 'Labels' => definition['deploy']['labels'], 'TaskTemplate' => { 'ForceUpdate' => 0 } } }
    end
  end

  def differences(actual, recorded = stack.fingerprints(deployed))
    stack.differences(actual, recorded)
  end

  it 'labels each service with its hash and keeps the rest' do
    document = JSON.parse(stack.document)
    expect(document['services']['pin']).to eq('image' => 'a:1', 'deploy' => { 'labels' => { 'x' => 'y', 'hubfleet.stack-hash' => stack.hash_of('pin') } })
    expect(document['secrets']).to eq('t' => { 'external' => true, 'name' => 't-1' })
  end

  it 'reads the mode of a secret as octal' do
    expect(JSON.parse(described_class.new('s', 'services: {a: {secrets: [{source: t, mode: 0400}]}}').document)['services']['a']['secrets'].first['mode']).to eq(256)
  end

  it('finds nothing to do after a deploy') { expect(differences(deployed)).to eq([]) }
  it('sees a missing service') { expect(differences(deployed.drop(1))).to eq(['service hub is missing']) }

  it 'sees a service that is not in the file' do
    extra = { 'Spec' => { 'Name' => 'hubfleet_old', 'Labels' => {}, 'TaskTemplate' => {} } }
    expect(differences(deployed + [extra])).to eq(['service old is not in the file'])
  end

  it 'sees a changed definition of one service, and a changed secret in all' do
    before = deployed
    expect(described_class.new('hubfleet', text.sub('{x: y}', '{x: z}')).differences(before, stack.fingerprints(before))).to eq(['definition of pin has changed'])
    expect(described_class.new('hubfleet', text.sub('t-1', 't-2')).differences(before, {}).length).to eq(2)
  end

  it 'sees a change by hand, but not a forced restart' do
    actual = deployed
    actual.first['Spec']['TaskTemplate']['ForceUpdate'] = 3
    expect(differences(actual)).to eq([])
    actual.first['Spec']['Mode'] = { 'Replicated' => { 'Replicas' => 2 } }
    expect(differences(actual)).to eq(['service hub was changed by hand'])
  end

  describe '.up?' do
    let(:service) do
      { 'ServiceStatus' => { 'DesiredTasks' => 1 }, 'Spec' => { 'TaskTemplate' => { 'ContainerSpec' => { 'Image' => 'a:2', 'StopGracePeriod' => 1 } } } }
    end

    def task(image: 'a:2', state: 'running', desired: 'running')
      { 'DesiredState' => desired, 'Status' => { 'State' => state }, 'Spec' => { 'ContainerSpec' => { 'Image' => image } } }
    end

    it('needs a running task of the present definition') { expect(described_class.up?(service, [task])).to be(true) }
    it('does not count one of the definition before') { expect(described_class.up?(service, [task(image: 'a:1')])).to be(false) }
    it('does not count one that is not healthy yet') { expect(described_class.up?(service, [task(state: 'starting')])).to be(false) }
    it('does not count one that is to end') { expect(described_class.up?(service, [task(desired: 'shutdown')])).to be(false) }
    it('waits for the end of an update') { expect(described_class.up?(service.merge('UpdateStatus' => { 'State' => 'updating' }), [task])).to be(false) }

    it 'has the newest failure as its last word' do
      tasks = [{ 'CreatedAt' => '3', 'Status' => { 'State' => 'preparing', 'Message' => 'preparing' } },
               { 'CreatedAt' => '2', 'Status' => { 'State' => 'rejected', 'Err' => 'No such image: a:2' } },
               { 'CreatedAt' => '1', 'Status' => { 'State' => 'failed', 'Err' => 'old' } }]
      expect(described_class.last_word(tasks)).to eq('rejected: No such image: a:2')
      expect(described_class.last_word(tasks.first(1))).to eq('preparing: preparing')
      expect(described_class.last_word([])).to eq('no task')
    end
  end
end
