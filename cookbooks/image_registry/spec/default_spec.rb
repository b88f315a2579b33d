require_relative '../../../spec/cookbooks_helper'
require_relative '../../node_base/libraries/secrets'
require_relative '../../node_base/libraries/unit'

describe 'image_registry::default' do
  before do
    allow_any_instance_of(Hubfleet::Secrets).to receive(:read).with('chef_server', 'registry_htpasswd').and_return('publisher:$2y$')
    allow_any_instance_of(Hubfleet::Unit).to receive(:older_than?).and_return(false)
  end

  let(:values) { role_attributes('chef_server') }
  let(:run) { runner_for('chef_server', step_into: 'image_registry_service').converge('image_registry::default') }

  it 'listens on the loopback address only' do
    expect(run).to render_file('/etc/docker/registry/config.yml').with_content { |text|
      expect(YAML.safe_load(text)).to include('http' => include('addr' => "127.0.0.1:#{values['registry']['port']}"),
                                              'storage' => include('filesystem' => { 'rootdirectory' => values['registry']['data_dir'] },
                                                                   'delete' => { 'enabled' => true }))
    }
  end

  it 'lets anybody read and nobody write on 443' do
    expect(run).to create_nginx_site('registry').with(port: 443, allowed_methods: %w(GET HEAD), basic_auth_file: nil)
  end

  it 'asks for the password on the push port, and takes layers of any size' do
    expect(run).to create_nginx_site('registry-push').with(port: values['registry']['push_port'], basic_auth_file: '/etc/hubfleet/registry.htpasswd',
                                                           allowed_methods: [], max_body_size: '0', request_buffering: false)
  end

  it 'keeps the password file from everybody but nginx' do
    expect(run).to create_file('/etc/hubfleet/registry.htpasswd').with(mode: '0640', group: 'www-data', sensitive: true, content: 'publisher:$2y$')
  end

  it 'runs the service' do
    expect(run).to enable_service('docker-registry')
    expect(run).to start_service('docker-registry')
  end
end
