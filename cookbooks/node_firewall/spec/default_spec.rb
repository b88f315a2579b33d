require_relative '../../../spec/cookbooks_helper'

describe 'node_firewall::default' do
  let(:hub) { CookbooksHelper.role_attributes('hub') }

  def converge(role, **options, &block)
    runner_for(role, **options, &block).converge('node_firewall::default')
  end

  it 'guards a hub with the ports of its policy' do
    expect(converge('hub')).to enable_node_firewall('hub').with(
      interface: hub['swarm']['interface'], api_port: hub['hub']['api_port'], proxy_port: hub['hub']['port'], egress: hub['notebook']['egress'], overlay_guard: true
    )
  end

  it 'guards a worker with the same ports' do
    expect(converge('swarm_worker')).to enable_node_firewall('worker').with(api_port: hub['hub']['api_port'], proxy_port: hub['hub']['port'])
  end

  it 'takes the rules away when they are not wanted' do
    expect(converge('swarm_worker') { |node| node.default['firewall']['enabled'] = false }).to disable_node_firewall('worker')
  end

  context 'inside the resource' do
    let(:checks) { [0] }
    let(:applied) { true }
    let(:run) do
      converge('swarm_worker', step_into: 'node_firewall') { |node| node.default['notebook']['egress'] = 'none' }
    end

    before do
      allow(File).to receive(:exist?).and_call_original
      allow(File).to receive(:exist?).with('/run/hubfleet-firewall/node4.rules') { applied }
      stubs_for_provider('node_firewall[worker]') do |provider|
        allow(provider).to receive(:sleep)
        allow(provider).to receive(:shell_out_compacted).with('/usr/local/sbin/hubfleet-firewall', 'check', any_args) { double(exitstatus: checks.shift) }
      end
    end

    it 'tells the script what to do' do
      expect(run).to create_file('/etc/hubfleet/firewall.conf').with(content: <<~CONF)
        # Owned by Chef (cookbook node_firewall): changes made here are lost.
        SIDE=worker
        INTERFACE=eth0
        API_PORT=8081
        PROXY_PORT=8000
        EGRESS=none
        OVERLAY_GUARD=true
      CONF
      expect(run).to create_cookbook_file('/usr/local/sbin/hubfleet-firewall').with(mode: '0755')
    end

    it 'puts the rules in place before the engine, which does not start without them' do
      unit = run.systemd_unit('hubfleet-firewall.service').content
      expect(unit[:Unit]).to include(Before: 'docker.service', PartOf: 'docker.service')
      expect(unit[:Install]).to eq(RequiredBy: 'docker.service')
      expect(run).to enable_service('hubfleet-firewall.service')
    end

    it 'looks when a namespace comes, and every half minute' do
      expect(run.systemd_unit('hubfleet-overlay-guard.path').content[:Path]).to include(PathChanged: '/run/docker/netns')
      expect(run.systemd_unit('hubfleet-overlay-guard.timer').content[:Timer]).to include(OnUnitInactiveSec: '30s')
      expect(run).to start_systemd_unit('hubfleet-overlay-guard.path')
      expect(run).to start_systemd_unit('hubfleet-overlay-guard.timer')
    end

    it 'leaves rules that are in place alone' do
      expect(run).not_to run_execute('put the firewall rules in place')
    end

    context 'while the guard is at work' do
      let(:checks) { [1, 0] }

      it 'waits for it' do
        expect(run).not_to run_execute('put the firewall rules in place')
      end
    end

    context 'when rules are missing' do
      let(:checks) { [1, 1, 1] }

      it 'applies them' do
        expect(run).to run_execute('put the firewall rules in place').with(command: ['/usr/local/sbin/hubfleet-firewall', 'apply'])
      end
    end

    context 'when there never were any' do
      let(:applied) { false }

      it 'applies them at once' do
        expect(run).to run_execute('put the firewall rules in place')
        expect(checks).to eq([0])
      end
    end
  end
end
