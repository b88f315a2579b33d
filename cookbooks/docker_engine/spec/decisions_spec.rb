require_relative 'fake_engine'
require_relative '../libraries/engine_config'
require_relative '../libraries/engine_images'
require_relative '../libraries/engine_load'

describe DockerEngine::Config do
  it 'renders equal settings as equal bytes, whatever their order' do
    one = { 'b' => [{ 'z' => 1, 'a' => 2 }], 'a' => { 'y' => true, 'x' => '2' } }
    two = { 'a' => { 'x' => '2', 'y' => true }, 'b' => [{ 'a' => 2, 'z' => 1 }] }
    expect(described_class.render(one)).to eq(described_class.render(two))
    expect(described_class.render('a' => 1)).to eq("{\n  \"a\": 1\n}\n")
  end
end

describe DockerEngine::Load do
  let(:own) { { 'Names' => ['/hubfleet_proxy.1.x'], 'Labels' => { 'com.docker.stack.namespace' => 'hubfleet' } } }
  let(:student) { { 'Names' => ['/jupyter-ann.1.y'], 'Labels' => { 'com.docker.swarm.service.name' => 'jupyter-ann' } } }

  def names(containers, manager: false, services: [])
    described_class.names(FakeEngine.new('GET /containers/json' => containers, 'GET /services' => services,
                                         'GET /info' => { 'Swarm' => { 'ControlAvailable' => manager } }))
  end

  it('sees an idle engine') { expect(names([own])).to eq([]) }
  it('sees a student') { expect(names([own, student])).to eq(['jupyter-ann.1.y']) }
  it('sees a container somebody started by hand, which has no labels') { expect(names([{ 'Names' => ['/x'], 'Labels' => nil }])).to eq(['x']) }

  it 'sees, on a manager, students on other nodes, whose proxy runs here' do
    services = [{ 'Spec' => { 'Name' => 'hubfleet_hub', 'Labels' => own['Labels'] } }, { 'Spec' => { 'Name' => 'jupyter-bob', 'Labels' => {} } }]
    expect(names([own], manager: true, services: services)).to eq(['jupyter-bob'])
  end

  it 'takes an engine that does not answer for idle, but not one that refuses' do
    silent = FakeEngine.new('GET /containers/json' => ->(_) { raise DockerEngine::Error, 'no answer' })
    refusing = FakeEngine.new('GET /containers/json' => ->(_) { raise DockerEngine::Error.new('broken', status: 500) })
    expect(described_class.names(silent)).to eq([])
    expect { described_class.names(refusing) }.to raise_error(DockerEngine::Error, 'broken')
  end
end

describe DockerEngine::Images do
  it 'knows the answers of a registry that does not have the image' do
    ['manifest for r.test/a:1 not found: manifest unknown: manifest unknown', 'manifest unknown', 'r.test/a:1: not found',
     'name unknown: repository name not known to registry'].each { |text| expect(described_class.absent?(text)).to be(true) }
    ['dial tcp: lookup r.test: no such host', 'connection refused', 'tls: failed to verify certificate', 'received unexpected HTTP status: 502 Bad Gateway']
      .each { |text| expect(described_class.absent?(text)).to be(false) }
  end

  it 'splits at the tag, not at the port' do
    expect(described_class.split('r.test:5000/a/b:1')).to eq(['r.test:5000/a/b', '1'])
    expect { described_class.split('r.test:5000/a/b') }.to raise_error(ArgumentError, /has no tag/)
  end

  it 'removes other tags of the same repository that no container was made from' do
    images = [
      { 'Id' => 'i1', 'RepoTags' => ['r/a:new', 'other/a:1'] },
      { 'Id' => 'i2', 'RepoTags' => ['r/a:old'] },
      { 'Id' => 'i3', 'RepoTags' => ['r/a:used'] },
      { 'Id' => 'i4', 'RepoTags' => nil },
    ]
    expect(described_class.prunable(images, [{ 'ImageID' => 'i3' }], 'r/a:new')).to eq(['r/a:old'])
  end
end
