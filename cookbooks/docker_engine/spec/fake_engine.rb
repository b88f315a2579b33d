require_relative '../libraries/engine_api'

# Stands in for DockerEngine::Api: answers from a table, keeps what was asked.
#   FakeEngine.new('GET /info' => {...}, 'POST /swarm/join' => ->(body) { raise DockerEngine::Error, 'no' })
class FakeEngine
  attr_reader :requests

  def initialize(answers = {})
    @answers = answers
    @requests = []
  end

  def get(path, query = {})
    answer('GET', path, nil, query)
  end

  def post(path, body = nil, query = {})
    answer('POST', path, body, query)
  end

  def delete(path, query = {})
    answer('DELETE', path, nil, query)
  end

  # Requests that change something, as [verb and path, body or query].
  def changes
    requests.reject { |verb, *| verb.start_with?('GET') }
  end

  private

  def answer(verb, path, body, query)
    @requests << ["#{verb} #{path}", body, query].compact.reject { |item| item == {} }
    found = @answers["#{verb} #{path}"]
    found.respond_to?(:call) ? found.call(body) : found
  end
end
