require 'open3'
require 'shellwords'
require 'tmpdir'

# The script itself, for real: in a network namespace of its own that plays the node, with another one
# that plays an overlay's.
describe 'hubfleet-firewall' do
  possible = Process.uid.zero? && system('unshare --net --mount iptables -S >/dev/null 2>&1')

  let(:script) { File.expand_path('../files/hubfleet-firewall', __dir__) }

  before { skip 'needs root, unshare and iptables' unless possible }

  around { |example| Dir.mktmpdir { |directory| (@directory = directory) && example.run } }

  # Runs bash lines on the "node"; firewall is the script, overlay runs a command in the overlay.
  def node(lines, side: 'worker', egress: 'internet', guard: true)
    File.write("#{@directory}/conf", "SIDE=#{side}\nINTERFACE=fleet0\nAPI_PORT=8081\nPROXY_PORT=8000\nEGRESS=#{egress}\nOVERLAY_GUARD=#{guard}\n")
    setup = <<~BASH
      set -eu
      export HUBFLEET_FIREWALL_CONF=#{@directory}/conf HUBFLEET_FIREWALL_STATE=#{@directory}/state HUBFLEET_FIREWALL_NETNS=#{@directory}/netns
      ip link add fleet0 type bridge && ip addr add 10.77.0.5/24 dev fleet0 && ip link set fleet0 up
      mkdir -p #{@directory}/netns && touch #{@directory}/netns/1-abcdefghij
      unshare --net sleep 60 & keeper=$!
      trap 'kill $keeper' EXIT
      until [ "$(readlink /proc/$keeper/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
      mount --bind /proc/$keeper/ns/net #{@directory}/netns/1-abcdefghij
      firewall() { #{script.shellescape} "$@"; }
      overlay() { nsenter --net=#{@directory}/netns/1-abcdefghij "$@"; }
    BASH
    output, status = Open3.capture2e('unshare', '--net', '--mount', 'bash', '-c', setup + lines, chdir: @directory)
    [output, status.exitstatus]
  end

  # Rules of a chain, without the way in which they refuse.
  def rules(output)
    output.lines(chomp: true).grep(/^-A/).map { |line| line.sub(/ --reject-with \S+/, '') }
  end

  it 'finds its rules missing, applies them, finds them, and applies them again without doubling them' do
    output, status = node('firewall check && exit 9; firewall apply; firewall check; iptables -S >a; firewall apply; iptables -S >b; cmp a b; overlay iptables -S')
    expect(output).to include('rules of node4 are missing or differ', 'rules of 1-abcdefghij.4 are missing or differ')
    expect(status).to eq(0)
  end

  it 'closes the fleet and every private range for a worker, first in the chains of engine and node' do
    output, = node('firewall apply; iptables -S DOCKER-USER; iptables -S HUBFLEET-FORWARD; iptables -S HUBFLEET-OUT | grep -v "dport 53"; iptables -S INPUT; iptables -S HUBFLEET-INPUT')
    expect(rules(output)).to eq([
                                  '-A DOCKER-USER -j HUBFLEET-FORWARD',
                                  '-A HUBFLEET-FORWARD -i docker_gwbridge -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN',
                                  '-A HUBFLEET-FORWARD -i docker_gwbridge -j HUBFLEET-OUT',
                                  '-A HUBFLEET-FORWARD -o docker_gwbridge -m conntrack --ctstate NEW -j REJECT',
                                  *%w(10.77.0.0/24 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 169.254.0.0/16 224.0.0.0/3).map { |range| "-A HUBFLEET-OUT -d #{range} -j REJECT" },
                                  '-A INPUT -j HUBFLEET-INPUT',
                                  '-A HUBFLEET-INPUT -i docker_gwbridge -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN',
                                  '-A HUBFLEET-INPUT -i docker_gwbridge -j REJECT',
                                  '-A HUBFLEET-INPUT ! -i lo -p tcp -m tcp --dport 8000 -j REJECT',
                                ])
  end

  it 'lets the hub ask an identity provider in a private network' do
    output, = node('firewall apply; iptables -S HUBFLEET-OUT | grep -v "dport 53"', side: 'hub')
    expect(rules(output)).to eq(['-A HUBFLEET-OUT -d 10.77.0.0/24 -j REJECT', '-A HUBFLEET-OUT -d 169.254.0.0/16 -j REJECT'])
  end

  it 'closes everything without egress' do
    output, = node('firewall apply; iptables -S HUBFLEET-OUT', egress: 'none')
    expect(rules(output)).to eq(['-A HUBFLEET-OUT -j REJECT'])
  end

  it "leaves a server nothing but the hub's API on another node" do
    output, = node('firewall apply; overlay iptables -S FORWARD; overlay iptables -S HUBFLEET-OVERLAY')
    expect(rules(output)).to eq([
                                  '-A FORWARD -j HUBFLEET-OVERLAY',
                                  '-A HUBFLEET-OVERLAY -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN',
                                  '-A HUBFLEET-OVERLAY -p tcp -m physdev --physdev-in veth+ --physdev-out vxlan+ -m tcp --dport 8081 -j RETURN',
                                  '-A HUBFLEET-OVERLAY -m physdev --physdev-in veth+ -j REJECT',
                                  '-A HUBFLEET-OVERLAY -p tcp -m physdev --physdev-in vxlan+ -m tcp --dport 8081 -j REJECT',
                                ])
  end

  it 'lets nothing but the API in from the other nodes on the hub' do
    output, = node('firewall apply; overlay iptables -S HUBFLEET-OVERLAY', side: 'hub')
    expect(rules(output).drop(1)).to eq([
                                          '-A HUBFLEET-OVERLAY -p tcp -m physdev --physdev-in vxlan+ -m tcp --dport 8081 -j RETURN',
                                          '-A HUBFLEET-OVERLAY -m physdev --physdev-in vxlan+ -j REJECT',
                                        ])
  end

  it 'sees and repairs whatever is taken away or put in front' do
    damages = [
      'iptables -F HUBFLEET-OUT',
      'iptables -F INPUT',
      'iptables -I DOCKER-USER -j ACCEPT',
      'iptables -D HUBFLEET-INPUT 2',
      'overlay iptables -F',
      'ip6tables -F FORWARD',
      'ip addr add 10.99.0.5/24 dev fleet0', # the rules follow the addresses of the node
      'overlay sh -c "echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables"',
    ]
    steps = damages.map { |damage| "#{damage}; firewall check && { echo not seen: #{damage.shellescape}; exit 9; }; firewall repair; firewall check" }
    output, status = node("firewall apply; #{steps.join('; ')}")
    expect(status).to eq(0), output
  end

  it 'stays first when the engine puts its own jump in front' do
    output, = node('firewall apply; iptables -N DOCKER-ISOLATION; iptables -I FORWARD -j DOCKER-ISOLATION; firewall repair; iptables -S FORWARD')
    expect(rules(output)).to eq(['-A FORWARD -j DOCKER-USER', '-A FORWARD -j DOCKER-ISOLATION'])
  end

  it 'takes everything away' do
    output, = node('firewall apply; firewall remove; iptables -S; ip6tables -S; overlay iptables -S')
    expect(output).not_to include('HUBFLEET')
  end

  it 'fails, and changes nothing, where the interface has no address' do
    output, status = node('ip addr flush dev fleet0; iptables -S >a; firewall apply && exit 9; iptables -S | cmp a -')
    expect(status).to eq(0)
    expect(output).to include('interface fleet0 has no IPv4 address')
  end
end
