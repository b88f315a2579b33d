require 'ipaddr'
require 'socket'

module Swarm
  # Which addresses belong to whom; nothing is ever guessed.
  module Addresses
    module_function

    # The single IPv4 address of an interface. Raises Swarm::Error where there is none or more than one.
    def ipv4_of(interface, ifaddrs = Socket.getifaddrs)
      found = ifaddrs.select { |item| item.name == interface && item.addr&.ipv4? }.map { |item| item.addr.ip_address }.uniq
      return found.first if found.one?

      present = ifaddrs.map(&:name).uniq.sort.join(', ')
      detail = found.empty? ? "has no IPv4 address (interfaces here: #{present})" : "has #{found.length} IPv4 addresses: #{found.join(', ')}"
      raise Error, "swarm.interface #{interface} #{detail}; the fleet's interface must have exactly one"
    end

    def ipv4?(value)
      IPAddr.new(value).ipv4? && !value.include?('/')
    rescue IPAddr::Error
      false
    end

    # "hub.example:2377" -> ["10.0.0.5:2377"]; empty when the name is not known (yet).
    def resolve(endpoint)
      host, _, port = endpoint.rpartition(':')
      Addrinfo.getaddrinfo(host, nil, Socket::AF_INET, :STREAM).map { |item| "#{item.ip_address}:#{port}" }.uniq
    rescue SocketError
      []
    end
  end
end
