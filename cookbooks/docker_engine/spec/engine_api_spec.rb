require 'tmpdir'
require_relative '../libraries/engine_api'

# Against a real Unix socket: one answer for one request.
describe DockerEngine::Api do
  around { |example| Dir.mktmpdir { |directory| (@socket = "#{directory}/engine.sock") && example.run } }

  def serving(answer)
    server = UNIXServer.new(@socket)
    thread = Thread.new do
      client = server.accept
      head = +''
      head << client.readline until head.end_with?("\r\n\r\n")
      body = client.read(head[/content-length: (\d+)/i, 1].to_i)
      client.write(answer)
      client.close
      [head, body]
    end
    result = yield(described_class.new(socket: @socket))
    [result, *thread.value]
  ensure
    server.close
  end

  def reply(status, body)
    "HTTP/1.1 #{status}\r\nContent-Type: application/json\r\nContent-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}"
  end

  it 'sends filters as JSON in the query and returns the document' do
    result, head = serving(reply('200 OK', '[{"Name":"notebooks"}]')) { |api| api.get('/networks', 'filters' => { 'name' => ['notebooks'] }) }
    expect(result).to eq([{ 'Name' => 'notebooks' }])
    expect(head).to start_with('GET /v1.41/networks?filters=%7B%22name%22%3A%5B%22notebooks%22%5D%7D HTTP/1.1')
  end

  it 'sends a body as JSON' do
    _, head, body = serving(reply('200 OK', '"id"')) { |api| api.post('/swarm/join', { 'JoinToken' => 't' }, 'x' => true) }
    expect(head).to match(%r{\APOST /v1.41/swarm/join\?x=true .*content-type: application/json}mi)
    expect(body).to eq('{"JoinToken":"t"}')
  end

  it 'returns nil for an answer without content' do
    result, = serving("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n") { |api| api.delete('/secrets/x') }
    expect(result).to be_nil
  end

  it "raises with the engine's words and the status" do
    expect { serving(reply('503 Service Unavailable', '{"message":"This node is already part of a swarm"}')) { |api| api.post('/swarm/init', {}) } }
      .to raise_error(DockerEngine::Error, 'This node is already part of a swarm') { |error| expect(error.status).to eq(503) }
  end

  it 'raises without a status where nothing answers' do
    expect { described_class.new(socket: @socket).get('/info') }
      .to raise_error(DockerEngine::Error, /does not answer at #{@socket}/) { |error| expect(error.status).to be_nil }
  end
end
