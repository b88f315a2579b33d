require_relative 'engine_context'

describe 'swarm_manager' do
  include_context 'an engine'

  recipe do
    swarm_manager '10.0.0.1' do
      default_addr_pool '10.88.0.0/16'
      subnet_size 22
    end
  end

  context 'outside of any swarm' do
    let(:answers) { { 'GET /info' => swarm('inactive') } }

    it 'starts one, after a single look' do
      chef_run
      expect(api.requests.map(&:first)).to eq(['GET /info', 'POST /swarm/init'])
      expect(api.changes.first.last['AdvertiseAddr']).to eq('10.0.0.1:2377')
    end
  end

  context 'as its manager' do
    let(:cluster) { { 'DefaultAddrPool' => ['10.88.0.0/16'], 'SubnetSize' => 22 } }
    let(:answers) { { 'GET /info' => swarm('active', ControlAvailable: true, NodeAddr: '10.0.0.1', Cluster: cluster) } }

    it 'does nothing' do
      expect(chef_run.swarm_manager('10.0.0.1').performed_actions).to eq([:init])
      expect(api.changes).to be_empty
    end

    context 'with another address' do
      let(:answers) { { 'GET /info' => swarm('active', ControlAvailable: true, NodeAddr: '10.0.0.9', Cluster: cluster) } }

      it('raises') { expect(failure).to match(/cannot be changed in place: advertised address is 10.0.0.9, should be 10.0.0.1/) }
    end
  end

  { 'a worker' => swarm_worker = { 'LocalNodeState' => 'active', 'NodeID' => 'n1', 'ControlAvailable' => false, 'RemoteManagers' => [{ 'Addr' => '10.5.5.5:2377' }] },
    'locked' => { 'LocalNodeState' => 'locked' }, 'pending' => { 'LocalNodeState' => 'pending' }, 'in error' => { 'LocalNodeState' => 'error' } }.each do |name, state|
    context "when #{name}" do
      let(:answers) { { 'GET /info' => { 'Swarm' => state } } }

      it 'raises and changes nothing' do
        expect(failure).to match(state == swarm_worker ? /worker of another swarm \(managers 10.5.5.5:2377\)/ : /swarm/)
        expect(api.changes).to be_empty
      end
    end
  end
end

describe 'swarm_member' do
  include_context 'an engine'

  recipe do
    swarm_member 'worker' do
      managers ['localhost:2377']
      advertise_addr '10.0.0.2'
      deadline_s 0
    end
  end

  let(:secrets) { instance_double('Hubfleet::Secrets', read: "TOKEN\n") }

  before { allow(Hubfleet::Secrets).to receive(:for).and_return(secrets) }

  context 'outside of any swarm' do
    let(:states) { %w(inactive active) }
    let(:answers) { { 'GET /info' => ->(_) { swarm(states.length > 1 ? states.shift : states.first) } } }

    it 'joins with the published token' do
      chef_run
      expect(secrets).to have_received(:read).with('swarm_worker', 'join_token')
      expect(api.changes).to eq([['POST /swarm/join', { 'ListenAddr' => '0.0.0.0:2377', 'AdvertiseAddr' => '10.0.0.2:2377',
                                                        'RemoteAddrs' => ['localhost:2377'], 'JoinToken' => 'TOKEN' }]])
    end
  end

  context 'as a member' do
    let(:answers) { { 'GET /info' => swarm('active', RemoteManagers: [{ 'Addr' => '127.0.0.1:2377' }]) } }

    it 'reads no token and changes nothing' do
      chef_run
      expect(secrets).not_to have_received(:read)
      expect(api.changes).to be_empty
    end
  end

  context 'as a member of another swarm' do
    let(:answers) { { 'GET /info' => swarm('active', RemoteManagers: [{ 'Addr' => '10.5.5.5:2377' }]) } }

    it('raises') { expect(failure).to match(/belongs to another swarm \(managers 10.5.5.5:2377, expected 127.0.0.1:2377\)/) }
  end

  %w(pending locked error).each do |state|
    context "when #{state}" do
      let(:answers) { { 'GET /info' => swarm(state) } }

      it 'raises and changes nothing' do
        expect(failure).to match(/swarm/)
        expect(api.changes).to be_empty
      end
    end
  end
end

describe 'swarm_join_token' do
  include_context 'an engine'

  recipe { swarm_join_token 'worker' }

  let(:answers) { { 'GET /swarm' => { 'JoinTokens' => { 'Worker' => 'WT', 'Manager' => 'MT' } } } }
  let(:store) { instance_double('Hubfleet::Secrets', exist?: true, read: published, write: true) }

  before { allow(Hubfleet::Secrets).to receive(:for).and_return(store) }

  context 'when another one is published' do
    let(:published) { 'old' }

    it 'publishes the token' do
      chef_run
      expect(store).to have_received(:write).with('swarm_worker', 'join_token', 'WT')
    end
  end

  context 'when it is published' do
    let(:published) { 'WT' }

    it 'writes nothing' do
      chef_run
      expect(store).not_to have_received(:write)
    end
  end
end
