require_relative '../../../spec/cookbooks_helper'
require_relative '../libraries/efs'
require_relative '../libraries/mounts'

describe 'home_storage::default' do
  let(:mounted) { 'ext4' }
  let(:run) { runner_for('hub', step_into: 'home_storage') { |node| changes(node) }.converge('home_storage::default') }
  let(:homes) { CookbooksHelper.role_attributes('hub')['storage']['homes'] }

  before { allow(HomeStorage::Mounts).to receive(:type_at).and_return(mounted) }

  def changes(node); end

  it 'lets students through to their own home, and nobody list them' do
    expect(run).to create_directory(homes).with(owner: 'root', mode: '0711')
  end

  it 'mounts nothing that somebody else has mounted' do
    expect(run.find_resources(:systemd_unit)).to be_empty
  end

  context 'when it is not mounted' do
    let(:mounted) { nil }

    it 'stops' do
      expect { run }.to raise_error(/#{homes} is not a mount point/)
    end
  end

  context 'from a file server' do
    let(:mounted) { 'nfs4' }

    def changes(node)
      node.default['storage']['type'] = 'nfs4'
      node.default['storage']['nfs']['server'] = 'files.test'
    end

    it 'mounts it with the options of the policy' do
      options = CookbooksHelper.role_attributes('hub')['storage']['nfs']['options']
      expect(run).to create_systemd_unit('srv-homes.mount')
      expect(run).to start_systemd_unit('srv-homes.mount')
      expect(run.systemd_unit('srv-homes.mount').content[:Mount])
        .to eq(What: 'files.test:/', Where: '/srv/homes', Type: 'nfs4', Options: "#{options},_netdev")
    end

    it 'lets the engine wait for it after a reboot' do
      expect(run).to create_file('/etc/systemd/system/docker.service.d/hubfleet-homes.conf').with(content: "[Unit]\nRequiresMountsFor=/srv/homes\n")
      expect(run.file('/etc/systemd/system/docker.service.d/hubfleet-homes.conf')).to notify('execute[reload systemd for homes]').to(:run).immediately
    end
  end

  context 'from a file server, with a disk mounted in its place' do
    def changes(node)
      node.default['storage']['type'] = 'nfs4'
      node.default['storage']['nfs']['server'] = 'files.test'
    end

    it('stops') { expect { run }.to raise_error(/is a mount of ext4, not of the file server/) }
  end

  context 'from a file server that does not answer' do
    let(:mounted) { nil }

    def changes(node)
      node.default['storage']['type'] = 'nfs4'
      node.default['storage']['nfs']['server'] = 'files.test'
    end

    it('stops, before the node can join') { expect { run }.to raise_error(/is not a mount point/) }
  end

  context 'on AWS' do
    let(:mounted) { 'nfs4' }
    let(:homes_fact) { { 'file_system' => 'fs-0123456789abcdef0', 'access_point' => 'fsap-0123456789abcdef0' } }
    let(:helper) { true }
    let(:run) { runner_for('swarm_worker', environment: 'production', step_into: 'home_storage') { |node| changes(node) }.converge('home_storage::default') }
    let(:mount) { run.systemd_unit('srv-homes.mount').content[:Mount] }

    before do
      allow(File).to receive(:read).and_call_original
      allow(File).to receive(:read).with(HomeStorage::Efs::FACTS).and_return(JSON.generate('homes' => homes_fact))
      allow(HomeStorage::Efs).to receive(:helper?).and_return(helper)
    end

    it "mounts the file system's access point by TLS and the machine's role, with AWS's options" do
      options = CookbooksHelper.role_attributes('swarm_worker')['storage']['nfs']['options']
      expect(mount).to eq(
        What: 'fs-0123456789abcdef0:/', Where: '/srv/homes', Type: 'efs',
        Options: "#{options},tls,iam,accesspoint=fsap-0123456789abcdef0,_netdev"
      )
      expect(run).to start_systemd_unit('srv-homes.mount')
    end

    it 'lets the engine wait for it after a reboot' do
      expect(run).to create_file('/etc/systemd/system/docker.service.d/hubfleet-homes.conf')
    end

    context 'where it is not mounted' do
      let(:mounted) { nil }

      it('stops, before the worker can join') { expect { run }.to raise_error(/is not a mount point/) }
    end

    context 'without the helper in the image' do
      let(:helper) { false }

      it('says what to do') { expect { run }.to raise_error(/mount.efs is not there.*images.bake/) }
    end

    context 'with facts that are malformed' do
      let(:homes_fact) { { 'file_system' => 'fs-1,exec', 'access_point' => 'fsap-0123456789abcdef0' } }

      it('stops') { expect { run }.to raise_error(/homes.file_system is malformed/) }
    end

    context 'with another export' do
      def changes(node)
        node.default['storage']['nfs']['export'] = '/other'
      end

      it('stops') { expect { run }.to raise_error(%r{must be /, not /other}) }
    end

    context 'with a file server of its own' do
      let(:homes_fact) { nil }

      it 'mounts that' do
        expect(mount).to include(What: 'homes.hubfleet.internal:/', Type: 'nfs4')
      end
    end
  end

  it 'is before the step in which a worker joins' do
    roles = %w(hub swarm_worker).to_h { |name| [name, JSON.parse(File.read(File.join(CookbooksHelper::ROOT, 'roles', "#{name}.json")))['run_list']] }
    expect(roles['swarm_worker'].index('recipe[home_storage]')).to be < roles['swarm_worker'].index('recipe[swarm::worker]')
  end

  context 'from a file server without a name' do
    def changes(node)
      node.default['storage']['type'] = 'nfs4'
    end

    it('stops') { expect { run }.to raise_error(/needs storage.nfs.server/) }
  end
end
