require 'ffi_yajl'
require 'openssl'
require 'time'
require_relative 'records'

module ChefApi
  # Who can sign requests: the clients of the organization, as stored.
  class Identities
    # A client with the keys that are valid now, by name. kind: :admin, :validator, :controller or :client.
    # signed_by: names under which the key of the present request is kept.
    Identity = Struct.new(:name, :kind, :keys, :signed_by)

    # Rule of the real server for names of clients and nodes.
    NAME = /\A[A-Za-z0-9_.:-]{1,255}\z/
    MIN_KEY_BITS = 2048
    # The key that is kept with the client itself, as the API calls it.
    DEFAULT_KEY = 'default'.freeze
    # Keys that are kept parsed; some kB each.
    PARSED_LIMIT = 2000

    def initialize(store, organization)
      @store = store
      @organization = organization
      @records = Records.new(store, organization)
      @parsed = {}
      @lock = Mutex.new
    end

    # nil when there is no such client or it has no key.
    def find(name)
      return unless NAME.match?(name)

      record = @records.find(['clients', name])
      return if record.nil?

      keys = pems(name, record).transform_values { |pem| parsed(pem) }
      Identity.new(name, kind(record), keys) unless keys.empty?
    end

    # Creates or updates a client that the machine itself vouches for; true if it changed.
    def ensure(name, public_key:, admin: false, validator: false, controller: false)
      self.class.public_key(public_key)
      wanted = { 'name' => name, 'clientname' => name, 'admin' => admin, 'validator' => validator, 'public_key' => public_key }
      wanted['controller'] = true if controller
      return false if @records.find(['clients', name]) == wanted

      @store.set(['organizations', @organization, 'clients', name], FFI_Yajl::Encoder.encode(wanted, pretty: true), :create, :create_dir)
      true
    end

    # Raises ArgumentError unless the text is a public RSA key of at least 2048 bits.
    def self.public_key(pem)
      key = OpenSSL::PKey::RSA.new(pem.to_s)
      raise ArgumentError, 'a private key was given instead of a public one' if key.private?
      raise ArgumentError, "a key needs at least #{MIN_KEY_BITS} bits" if key.n.num_bits < MIN_KEY_BITS

      key
    rescue OpenSSL::PKey::PKeyError
      raise ArgumentError, 'not a public RSA key in PEM'
    end

    private

    def kind(record)
      return :admin if record['admin'] == true

      return :controller if record['controller'] == true

      record['validator'] == true ? :validator : :client
    end

    def pems(name, record)
      { DEFAULT_KEY => record['public_key'], **named_keys(name) }.compact
    end

    # Keys added besides the default one (knife client key create), so that keys can be rotated.
    def named_keys(name)
      path = ['client_keys', name, 'keys']
      @records.list(path).to_h do |key_name|
        key = @records.find(path + [key_name])
        [key_name, (key['public_key'] if key && current?(key['expiration_date']))]
      end
    end

    def current?(expiration)
      expiration.nil? || expiration == 'infinity' || Time.iso8601(expiration) > Time.now
    rescue ArgumentError
      false
    end

    # By content, so that a key that changed is another entry; emptied when full.
    def parsed(pem)
      @lock.synchronize do
        @parsed.clear if @parsed.size >= PARSED_LIMIT
        @parsed[pem] ||= self.class.public_key(pem)
      end
    end
  end
end
