require_relative 'engine_context'

describe 'swarm_network' do
  include_context 'an engine'

  recipe do
    swarm_network 'control' do
      subnet '10.90.0.0/24'
      internal true
    end
  end

  let(:document) do
    { 'Name' => 'control', 'CheckDuplicate' => true, 'Driver' => 'overlay', 'Internal' => true, 'Attachable' => false,
      'IPAM' => { 'Driver' => 'default', 'Config' => [{ 'Subnet' => '10.90.0.0/24' }] }, 'Options' => {} }
  end

  context 'when it is missing' do
    let(:answers) { { 'GET /networks' => [] } }

    it 'creates it with exactly these' do
      chef_run
      expect(api.changes).to eq([['POST /networks/create', document]])
    end
  end

  context 'when it is there' do
    let(:answers) { { 'GET /networks' => [document] } }

    it 'does nothing' do
      chef_run
      expect(api.changes).to be_empty
    end
  end

  context 'when it differs' do
    let(:answers) { { 'GET /networks' => [document.merge('Internal' => false)] } }

    it('raises') { expect(failure).to match(/network control differs and cannot be changed in place: internal is false, should be true/) }
  end
end

describe 'swarm_secret' do
  include_context 'an engine'

  let(:name) { Swarm::Diffs.secret_name('token', 'VALUE') }
  let(:answers) { { 'GET /secrets' => existing, 'GET /services' => [] } }
  let(:existing) { [{ 'ID' => 's0', 'Spec' => { 'Name' => 'token-00000000' } }] }

  context 'to create' do
    recipe do
      swarm_secret 'token' do
        value 'VALUE'
      end
    end

    it 'creates the version of this value' do
      chef_run
      expect(api.requests.first).to eq(['GET /secrets', { 'filters' => { 'label' => ['hubfleet.secret=token'] } }])
      expect(api.changes).to eq([['POST /secrets/create', { 'Name' => name, 'Labels' => { 'hubfleet.secret' => 'token' }, 'Data' => 'VkFMVUU=' }]])
    end

    context 'when it is there' do
      let(:existing) { [{ 'ID' => 's1', 'Spec' => { 'Name' => name } }] }

      it 'does nothing' do
        chef_run
        expect(api.changes).to be_empty
      end
    end

    it 'shows its value nowhere' do
      expect(chef_run.swarm_secret('token').to_text).not_to include('VALUE')
    end
  end

  context 'to prune' do
    recipe do
      swarm_secret 'token' do
        value 'VALUE'
        action :prune
      end
    end

    it 'removes what no service uses' do
      chef_run
      expect(api.changes).to eq([['DELETE /secrets/s0']])
    end
  end
end

describe 'swarm_node' do
  include_context 'an engine'

  let(:nodes) { [known('n1')] }
  let(:tasks) { [] }
  let(:answers) { { 'GET /nodes' => nodes, 'GET /tasks' => tasks } }

  def known(id, state: 'ready', labels: {}, availability: 'active')
    { 'ID' => id, 'Version' => { 'Index' => 4 }, 'Status' => { 'State' => state }, 'Description' => { 'Hostname' => 'i-1' },
      'Spec' => { 'Role' => 'worker', 'Availability' => availability, 'Labels' => labels } }
  end

  context 'to update' do
    recipe do
      swarm_node 'i-1' do
        labels('a' => '1')
        availability 'pause'
      end
    end

    it 'sends the whole spec at the version it has read' do
      chef_run
      expect(api.changes).to eq([['POST /nodes/n1/update', { 'Role' => 'worker', 'Availability' => 'pause', 'Labels' => { 'a' => '1' } }, { 'version' => 4 }]])
    end

    context 'when all is so' do
      let(:nodes) { [known('n1', labels: { 'a' => '1', 'other' => '2' }, availability: 'pause')] }

      it 'does nothing' do
        chef_run
        expect(api.changes).to be_empty
      end
    end

    context 'when a lost machine of that name is still known' do
      let(:nodes) { [known('n0', state: 'down'), known('n1')] }

      it 'takes the living one' do
        chef_run
        expect(api.changes.map(&:first)).to eq(['POST /nodes/n1/update'])
      end
    end

    context 'when nobody has that name' do
      let(:nodes) { [] }

      it('raises') { expect(failure).to match(/the swarm has 0 nodes named i-1/) }
    end
  end

  context 'to drain' do
    recipe do
      swarm_node 'i-1' do
        deadline_s 0
        action :drain
      end
    end

    it 'drains' do
      chef_run
      expect(api.changes.first[1]['Availability']).to eq('drain')
      expect(api.requests.last).to eq(['GET /tasks', { 'filters' => { 'node' => ['n1'] } }])
    end

    context 'when a task does not end' do
      let(:tasks) { [{ 'Status' => { 'State' => 'running' } }] }

      it('raises') { expect(failure).to match(/i-1 still runs 1 tasks after 0 s/) }
    end
  end

  context 'to remove' do
    recipe do
      swarm_node 'i-1' do
        action :remove
      end
    end

    it('refuses a node that has not left') { expect(failure).to match(/i-1 is ready: it must leave/) }

    context 'when it is down' do
      let(:nodes) { [known('n1', state: 'down')] }

      it 'removes it' do
        chef_run
        expect(api.changes).to eq([['DELETE /nodes/n1', { 'force' => false }]])
      end
    end

    context 'when it is not known' do
      let(:nodes) { [] }

      it 'has nothing to do' do
        chef_run
        expect(api.changes).to be_empty
      end
    end
  end
end
