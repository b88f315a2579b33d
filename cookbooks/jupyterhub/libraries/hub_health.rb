require 'net/http'
require 'openssl'

module JupyterhubStack
  # Whether the hub answers through nginx and proxy, as a browser would meet it.
  class Health
    attr_reader :last

    def initialize(url, ca_file)
      @uri = URI(url)
      @ca_file = ca_file
      @last = 'not asked yet'
    end

    def ok?
      http = Net::HTTP.new(@uri.host, @uri.port, nil)
      http.use_ssl = true
      http.ca_file = @ca_file
      http.verify_mode = OpenSSL::SSL::VERIFY_PEER
      http.open_timeout = http.read_timeout = 5
      answer = http.start { |session| session.get(@uri.request_uri) }
      @last = "status #{answer.code}"
      answer.code == '200'
    rescue SystemCallError, IOError, Timeout::Error, OpenSSL::SSL::SSLError, SocketError => e
      @last = e.message
      false
    end
  end
end
