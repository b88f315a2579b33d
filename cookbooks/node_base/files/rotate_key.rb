#!/usr/bin/env -S GEM_HOME=/opt/chef GEM_PATH=/opt/chef LANG=C.UTF-8 ruby
# Gives this node a new key, which is made here and never leaves it:
#
#   hubfleet-rotate-key [client.rb]
#
# The new key is added beside the old one, proves itself in a signed call, takes the old one's place
# in one step, and only then are all others deleted. Killed anywhere, the next run goes on. A run of
# chef-client holds the key that it began with, so this waits for its end and keeps others from
# starting. Prints the name of the new key.
require 'chef'
require 'chef/run_lock'
require 'chef/server_api'
require 'fileutils'
require 'openssl'

module Hubfleet
  # One rotation of the key that a client.rb names.
  class KeyRotation
    BITS = 2048
    # Longer than any converge should take.
    WAIT_S = 900

    def initialize(config)
      @url = config[:chef_server_url]
      @client = config[:node_name]
      @current = config[:client_key]
      @pending = "#{@current}.next"
      @lock_file = config[:lockfile]
    end

    def run
      alone do
        key = pending_key
        name = name_of(key)
        add(name, key)
        # Refused here, the old key is still in its place.
        api(@pending).get(path)
        File.rename(@pending, @current)
        forget_all_but(name)
        name
      end
    end

    private

    def alone
      lock = Chef::RunLock.new(@lock_file)
      Timeout.timeout(WAIT_S, nil, "chef-client did not end within #{WAIT_S} s") { lock.acquire }
      yield
    ensure
      lock&.release
    end

    def pending_key
      make unless File.exist?(@pending)
      OpenSSL::PKey::RSA.new(File.read(@pending))
    rescue OpenSSL::PKey::PKeyError
      make # cut off while it was written
      OpenSSL::PKey::RSA.new(File.read(@pending))
    end

    def make
      FileUtils.rm_f(@pending)
      File.open(@pending, File::WRONLY | File::CREAT | File::EXCL, 0o600) do |file|
        file.write(OpenSSL::PKey::RSA.new(BITS).to_pem)
        file.fsync
      end
    end

    def name_of(key)
      "key-#{OpenSSL::Digest::SHA256.hexdigest(key.public_to_der)[0, 16]}"
    end

    def add(name, key)
      document = { 'name' => name, 'public_key' => key.public_key.to_pem, 'expiration_date' => 'infinity' }
      api(@current).post("#{path}/keys", document)
    rescue Net::HTTPClientException => e
      raise unless e.response.code == '409' # added by a run that was cut off
    end

    def forget_all_but(name)
      server = api(@current)
      others = server.get("#{path}/keys").map { |key| key['name'] } - [name]
      others.each { |other| server.delete("#{path}/keys/#{other}") }
    end

    def path
      "clients/#{@client}"
    end

    def api(key_file)
      Chef::ServerAPI.new(@url, client_name: @client, signing_key_filename: key_file)
    end
  end
end

if $PROGRAM_NAME == __FILE__
  begin
    Chef::Config.from_file(ARGV.fetch(0, '/etc/chef/client.rb'))
    puts Hubfleet::KeyRotation.new(Chef::Config).run
  rescue Net::HTTPClientException, SystemCallError, OpenSSL::OpenSSLError, Timeout::Error => e
    abort "hubfleet-rotate-key: #{e.message}"
  end
end
