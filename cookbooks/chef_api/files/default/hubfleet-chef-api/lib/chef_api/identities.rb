require 'ffi_yajl'
require 'openssl'
require 'time'
require 'chef_zero/data_store/data_not_found_error'

module ChefApi
  # Who can sign requests: the clients of the organization, as stored.
  class Identities
    # A client with the keys that are valid now. kind: :admin, :validator or :client.
    Identity = Struct.new(:name, :kind, :keys)

    # Rule of the real server for names of clients and nodes.
    NAME = /\A[A-Za-z0-9_.:-]{1,255}\z/
    MIN_KEY_BITS = 2048

    def initialize(store, organization)
      @store = store
      @root = ['organizations', organization]
    end

    # nil when there is no such client or it has no key. Reads the store itself, not the defaults
    # that chef-zero lays over it: those come with a key that everybody knows.
    def find(name)
      return unless NAME.match?(name)

      record = document(@root + ['clients', name])
      return if record.nil?

      keys = [record['public_key'], *named_keys(name)].compact.map { |pem| self.class.public_key(pem) }
      Identity.new(name, kind(record), keys) unless keys.empty?
    end

    # Creates or updates a client that the machine itself vouches for; true if it changed.
    def ensure(name, public_key:, admin: false, validator: false)
      self.class.public_key(public_key)
      path = @root + ['clients', name]
      wanted = { 'name' => name, 'clientname' => name, 'admin' => admin, 'validator' => validator, 'public_key' => public_key }
      return false if document(path) == wanted

      @store.set(path, FFI_Yajl::Encoder.encode(wanted, pretty: true), :create, :create_dir)
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

    def document(path)
      FFI_Yajl::Parser.parse(@store.get(path))
    rescue ChefZero::DataStore::DataNotFoundError
      nil
    end

    def kind(record)
      return :admin if record['admin'] == true

      record['validator'] == true ? :validator : :client
    end

    # Keys added besides the default one (knife client key create), so that keys can be rotated.
    def named_keys(name)
      path = @root + ['client_keys', name, 'keys']
      @store.list(path).filter_map do |key_name|
        key = document(path + [key_name])
        key['public_key'] if key && current?(key['expiration_date'])
      end
    rescue ChefZero::DataStore::DataNotFoundError
      []
    end

    def current?(expiration)
      expiration.nil? || expiration == 'infinity' || Time.iso8601(expiration) > Time.now
    rescue ArgumentError
      false
    end
  end
end
