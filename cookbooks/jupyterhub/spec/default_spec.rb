require 'yaml'
require_relative '../../../spec/cookbooks_helper'
require_relative '../../node_base/libraries/registry'
require_relative '../../node_base/libraries/secrets'

describe 'jupyterhub::default' do
  let(:attributes) { CookbooksHelper.role_attributes('hub') }
  let(:zone) { attributes['fleet']['zone'] }
  let(:hub_image) { "registry.#{zone}/hubfleet/hub:aaaaaaaaaaaa" }
  let(:run) { converged }
  let(:stack) { stack_of(run) }
  let(:services) { stack['services'] }

  before do
    allow(Hubfleet::Secrets).to receive(:for).and_return(secrets)
    allow(secrets).to receive(:read) { |role, name| "#{role}-#{name}-value" }
  end

  let(:secrets) { instance_double(Hubfleet::Secrets) }

  def converged(&block)
    runner_for('hub') do |node|
      node.default['images'] = { 'hub' => { 'repository' => 'hubfleet/hub', 'tag' => 'aaaaaaaaaaaa' }, 'notebook' => { 'repository' => 'hubfleet/notebook', 'tag' => 'bbbbbbbbbbbb' } }
      block&.call(node)
    end.converge('jupyterhub::default')
  end

  def stack_of(run)
    YAML.safe_load(ChefSpec::Renderer.new(run, run.template('/etc/hubfleet/stack.yml')).content)
  end

  def settings_of(run)
    JSON.parse(run.file('/etc/hubfleet/settings.json').content)
  end

  it 'hands the hub the attributes of the policy, verbatim and no others' do
    settings = settings_of(run)
    expect(settings['environment']).to eq('local')
    expect(settings['attributes'].keys).to eq(%w(autoscaler classes fleet hub images notebook registry storage swarm))
    %w(fleet hub notebook registry storage swarm).each { |concern| expect(settings['attributes'][concern]).to eq(attributes[concern]) }
  end

  it 'configures JupyterHub in two lines' do
    expect(run).to create_file('/etc/hubfleet/jupyterhub_config.py').with(content: %r{^from hubfleet.hub import configure$.*^configure\(get_config\(\), "/etc/hubfleet/settings.json"\)}m)
  end

  it "keeps the hub's database for root" do
    expect(run).to create_directory(attributes['hub']['data_dir']).with(owner: 'root', mode: '0700')
  end

  it 'needs neither virtual addresses nor the routing mesh' do
    expect(services.values.map { |service| service['deploy']['endpoint_mode'] }.uniq).to eq(%w(dnsrr))
    expect(services.values.flat_map { |service| service['ports'].to_a }).to eq([{ 'target' => 8000, 'published' => attributes['hub']['port'], 'protocol' => 'tcp', 'mode' => 'host' }])
  end

  it 'tells the controller, and nobody else, where AWS is where an administrator has said so' do
    expect(services.values).to all(satisfy { |service| !service.key?('env_file') })
    allow(File).to receive(:exist?).and_call_original
    allow(File).to receive(:exist?).with('/etc/hubfleet/aws.env').and_return(true)
    told = stack_of(converged)['services'].select { |_, service| service['env_file'] == ['/etc/hubfleet/aws.env'] }
    expect(told.keys).to eq(%w(fleet))
  end

  it "keeps the proxy's API on the network control" do
    expect(services['proxy']['networks']).to eq('notebooks' => {}, 'control' => { 'aliases' => ['proxy-api'] })
    expect(services['proxy']['command'].last).to include("ip_network(sys.argv[1])))' #{attributes['swarm']['networks']['control']['subnet']} $$(hostname -I)",
                                                         '--api-ip "$$api_ip" --api-port 8001')
  end

  it 'gives no service more than it needs' do
    expect(services.values.map { |service| service['cap_drop'] }.uniq).to eq([['ALL']])
    expect(services.transform_values { |service| service['cap_add'] }.compact).to eq('hub' => %w(CHOWN FOWNER DAC_OVERRIDE))
    expect(services.select { |_, service| service['read_only'] }.keys).to eq(%w(proxy fleet pin))
    expect(services.values.map { |service| service.dig('deploy', 'resources', 'limits', 'memory') }).to all(be_a(String))
    expect(services['hub']['volumes'].map { |volume| [volume['source'], volume['read_only']] }).to eq([
                                                                                                        ['/var/run/docker.sock', nil], [attributes['hub']['data_dir'], nil], [attributes['storage']['homes'], nil],
                                                                                                        ['/etc/hubfleet/settings.json', true], ['/etc/hubfleet/jupyterhub_config.py', true],
                                                                                                        ['/var/lib/hubfleet/fleet', true]
                                                                                                      ])
  end

  it 'puts hub and proxy on the manager and a pin on every worker' do
    expect(services.transform_values { |service| service['deploy']['placement']['constraints'] })
      .to eq('proxy' => ['node.role == manager'], 'hub' => ['node.role == manager'], 'fleet' => ['node.role == manager'], 'pin' => ['node.role == worker'])
    expect(services['pin']['deploy']['mode']).to eq('global')
    expect(services['pin']['image']).to eq("registry.#{zone}/hubfleet/notebook:bbbbbbbbbbbb")
  end

  it 'gives each service its secrets, readable by its owner alone' do
    expect(services['hub']['secrets']).to eq(%w(cookie_secret fleet_api_token proxy_token login_password).map { |name| { 'source' => name, 'target' => name, 'mode' => 0o400 } })
    expect(services['proxy']['secrets']).to eq([{ 'source' => 'proxy_token', 'target' => 'proxy_token', 'uid' => '65534', 'gid' => '65534', 'mode' => 0o400 }])
    expect(stack['secrets']['proxy_token']).to eq('external' => true, 'name' => Swarm::Diffs.secret_name('hubfleet-proxy_token', 'hub-proxy_token-value'))
  end

  it 'shows no value of a secret' do
    expect(ChefSpec::Renderer.new(run, run.template('/etc/hubfleet/stack.yml')).content).not_to include('-value')
    expect(run).to create_swarm_secret('hubfleet-cookie_secret').with(value: 'hub-cookie_secret-value')
  end

  it 'asks for the secrets of an OAuth provider only where there is one' do
    stack = stack_of(converged { |node| node.default['hub']['authenticator'] = 'github' })
    expect(stack['services']['hub']['secrets'].map { |item| item['source'] }).to eq(%w(cookie_secret fleet_api_token proxy_token oauth_client_id oauth_client_secret))
  end

  it 'restarts hub and controller, and nothing else, when a setting of the hub changes' do
    other = stack_of(converged { |node| node.default['hub']['concurrent_spawn_limit'] = 99 })['services']
    expect(services.keys.reject { |name| services[name] == other[name] }).to eq(%w(hub fleet))
  end

  it 'restarts the controller alone when a rule of the autoscaler changes' do
    other = stack_of(converged { |node| node.default['autoscaler']['hold_s'] = 99 })['services']
    expect(services.keys.reject { |name| services[name] == other[name] }).to eq(%w(fleet))
  end

  it 'runs the controller on the network of the node, with its own secrets' do
    expect(services['fleet']['networks']).to eq(%w(host))
    expect(services['fleet']['secrets'].map { |item| item['source'] }).to eq(%w(fleet_api_token fleet_key fleet_token))
  end

  it 'takes images from ECR on AWS, and has no secret of a local fleet there' do
    registry = '000000000000.dkr.ecr.xx-test-1.amazonaws.com/hubfleet-production'
    allow(Hubfleet::Registry).to receive(:of).and_return(registry)
    aws = stack_of(converged { |node| node.default['fleet']['backend'] = 'aws' })['services']
    expect(aws['hub']['image']).to start_with("#{registry}/hubfleet/hub:aaaaaaaaaaaa")
    expect(aws['hub']['environment']['HUBFLEET_NOTEBOOK_IMAGE']).to eq("#{registry}/hubfleet/notebook:bbbbbbbbbbbb")
    expect(aws['fleet']['secrets'].map { |item| item['source'] }).to eq(%w(fleet_api_token fleet_key))
  end

  it 'has one site, with the certificate of the node, where there is no public name' do
    expect(run).to create_nginx_site('hub').with(certificate: 'server', default_server: true)
    expect([run.find_resource(:web_tls_acme, ''), run.nginx_site('public').performed_actions]).to eq([nil, [:delete]])
    expect(run).to delete_nginx_site('acme')
  end

  it 'serves its public name with a certificate of its own, after it serves those in the zone' do
    allow(Hubfleet::Registry).to receive(:of).and_return('000000000000.dkr.ecr.xx-test-1.amazonaws.com/hubfleet-production')
    public_name = CookbooksHelper.environment_attributes('production')['fleet']['aws']['host']
    aws = converged { |node| CookbooksHelper.role_attributes('hub', environment: 'production').except('images').each { |key, value| node.default[key] = value } }
    expect(aws).to create_web_tls_acme(public_name).with(certificate_name: 'public', stand_in: 'server', role: 'hub', directory: attributes['tls']['acme']['directory'])
    sites = %w(hub public).to_h { |name| [name, aws.nginx_site(name)] }
    expect(sites.transform_values { |site| [site.certificate, site.default_server, site.server_names.first] })
      .to eq('hub' => ['server', true, "hub.#{zone}"], 'public' => ['public', false, public_name])
    alike = sites.values.map { |site| %i(upstream websockets read_timeout_s max_body_size request_buffering buffering hsts).map { |name| site.public_send(name) } }
    expect(alike.uniq.size).to eq(1)
    names = aws.resource_collection.map(&:to_s)
    order = ['nginx_site[hub]', "web_tls_acme[#{public_name}]", 'nginx_site[public]', 'jupyterhub_ready[https://localhost/hub/health]']
    expect(names & order).to eq(order)
  end

  it 'pulls before it deploys, cleans up after, and waits for an answer in the end' do
    names = run.resource_collection.map(&:to_s)
    order = ["engine_image[#{hub_image}]", 'swarm_secret[hubfleet-cookie_secret]', 'template[/etc/hubfleet/stack.yml]', 'swarm_stack[hubfleet]',
             'swarm_secret[older versions of cookie_secret]', 'nginx_site[hub]', 'jupyterhub_ready[https://localhost/hub/health]']
    expect(names & order).to eq(order)
    expect(names.last).to eq(order.last)
    expect(run).to deploy_swarm_stack('hubfleet').with(wait_for: %w(proxy hub fleet))
    expect(run).to prune_engine_image("older than #{hub_image}").with(reference: hub_image)
    expect(run).to create_nginx_site('hub').with(server_names: ["hub.#{zone}", 'localhost'], websockets: true, upstream: "http://127.0.0.1:#{attributes['hub']['port']}")
  end
end
