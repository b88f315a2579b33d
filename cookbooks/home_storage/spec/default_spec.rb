require_relative '../../../spec/cookbooks_helper'
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

  context 'from a file server without a name' do
    def changes(node)
      node.default['storage']['type'] = 'nfs4'
    end

    it('stops') { expect { run }.to raise_error(/needs storage.nfs.server/) }
  end
end
