require 'json'
require 'net/http'
require 'socket'
require 'uri'

module DockerEngine
  # The engine refused a request or did not answer; `status` is nil when there was no answer.
  class Error < StandardError
    attr_reader :status

    def initialize(message, status: nil)
      super(message)
      @status = status
    end
  end

  # The engine's HTTP API on its Unix socket. Unlike the command line it takes secrets and tokens
  # in the request body, where no process list shows them.
  class Api
    SOCKET = '/var/run/docker.sock'.freeze
    # The oldest version with service status in lists; every engine since 20.10 speaks it.
    VERSION = 'v1.41'.freeze

    # Net::HTTP with another way to connect.
    class Connection < Net::HTTP
      attr_accessor :socket_path

      private

      def connect
        @socket = Net::BufferedIO.new(UNIXSocket.new(socket_path), read_timeout: read_timeout)
        on_connect
      end
    end

    # read_timeout_s covers /swarm/join, which the engine itself ends after 20 seconds.
    def initialize(socket: SOCKET, read_timeout_s: 60)
      @socket = socket
      @read_timeout_s = read_timeout_s
    end

    def get(path, query = {})
      request(Net::HTTP::Get, path, query)
    end

    def post(path, body = nil, query = {})
      request(Net::HTTP::Post, path, query, body)
    end

    def delete(path, query = {})
      request(Net::HTTP::Delete, path, query)
    end

    private

    # Hash and Array values of a query (filters) are sent as JSON, as the API wants them.
    def request(type, path, query, body = nil)
      query = query.transform_values { |value| value.is_a?(Enumerable) ? JSON.generate(value) : value.to_s }
      target = "/#{VERSION}#{path}"
      target += "?#{URI.encode_www_form(query)}" unless query.empty?
      message = type.new(target, 'Content-Type' => 'application/json')
      message.body = JSON.generate(body) if body
      answer(connection.start { |http| http.request(message) })
    rescue SystemCallError, IOError, Timeout::Error => e
      raise Error, "the Docker engine does not answer at #{@socket}: #{e.message}"
    end

    def connection
      # nil: never through a proxy from the environment.
      Connection.new('localhost', 80, nil).tap do |http|
        http.socket_path = @socket
        http.read_timeout = @read_timeout_s
      end
    end

    def answer(response)
      document = response.body.to_s.empty? ? nil : JSON.parse(response.body)
      return document if response.is_a?(Net::HTTPSuccess) || response.is_a?(Net::HTTPNotModified)

      detail = document.is_a?(Hash) ? document['message'] : response.message
      raise Error.new(detail.to_s, status: response.code.to_i)
    rescue JSON::ParserError
      raise Error.new(response.body.to_s.strip, status: response.code.to_i)
    end
  end
end
