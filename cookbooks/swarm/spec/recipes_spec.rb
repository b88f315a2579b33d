require_relative '../../../spec/cookbooks_helper'

describe 'swarm::manager' do
  let(:run) { runner_for('hub').converge('swarm::manager') }
  let(:swarm) { CookbooksHelper.role_attributes('hub')['swarm'] }

  before { allow(Socket).to receive(:getifaddrs).and_return([Struct.new(:name, :addr).new(swarm['interface'], Addrinfo.ip('10.0.0.1'))]) }

  it 'starts the swarm at the address of the interface in the policy' do
    expect(run).to init_swarm_manager('manager').with(
      advertise_addr: '10.0.0.1', port: swarm['manager_port'],
      default_addr_pool: swarm['default_addr_pool'], subnet_size: swarm['default_addr_pool_mask']
    )
  end

  it 'creates the networks of the policy' do
    swarm['networks'].each { |name, network| expect(run).to create_swarm_network(name).with(network.transform_keys(&:to_sym)) }
  end

  it 'labels itself and publishes the token for workers' do
    expect(run).to update_swarm_node('this node').with(host: Socket.gethostname, labels: { 'hubfleet.role' => 'hub' })
    expect(run).to publish_swarm_join_token('worker')
  end
end

describe 'swarm::worker' do
  let(:run) { runner_for('swarm_worker').converge('swarm::worker') }
  let(:swarm) { CookbooksHelper.role_attributes('swarm_worker')['swarm'] }

  it 'joins the hub of the zone' do
    allow(Socket).to receive(:getifaddrs).and_return([Struct.new(:name, :addr).new(swarm['interface'], Addrinfo.ip('10.0.0.2'))])
    expect(run).to join_swarm_member('worker').with(
      managers: ["hub.hubfleet.internal:#{swarm['manager_port']}"], advertise_addr: '10.0.0.2', deadline_s: swarm['join_deadline_s']
    )
  end
end
