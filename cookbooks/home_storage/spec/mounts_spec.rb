require_relative '../libraries/mounts'

describe HomeStorage::Mounts do
  let(:table) do
    <<~TABLE
      22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw
      40 22 259:1 /deploy/homes /srv/homes rw,relatime - ext4 /dev/root rw
      41 22 0:50 / /mnt/with\\040space rw - tmpfs none rw
      42 22 0:51 / /srv/homes rw shared:7 - nfs4 files.test:/ rw,vers=4.1
    TABLE
  end

  it 'finds what is mounted there, a bind mount too, and the topmost of several' do
    expect(described_class.type_at('/srv/homes', table.lines.first(3).join)).to eq('ext4')
    expect(described_class.type_at('/srv/homes/', table)).to eq('nfs4')
    expect(described_class.type_at('/mnt/with space', table)).to eq('tmpfs')
  end

  it 'does not take a directory in a mount for a mount' do
    expect(described_class.type_at('/srv', table)).to be_nil
    expect(described_class.type_at('/srv/homes/ann', table)).to be_nil
  end

  it 'reads the table of this machine' do
    expect(described_class.type_at('/proc')).to eq('proc')
  end

  # As `systemd-escape --path --suffix=mount` prints them.
  it 'names the unit as systemd does' do
    expect(described_class.unit_name('/srv/homes')).to eq('srv-homes.mount')
    expect(described_class.unit_name('/srv/class-homes/')).to eq('srv-class\x2dhomes.mount')
  end
end
