require 'securerandom'

module Hubfleet
  # The only way by which a cookbook reads or writes a secret.
  #
  #   Hubfleet::Secrets.for(node).read('hub', 'cookie_secret')
  #   Hubfleet::Secrets.new('files', '/var/lib/hubfleet/secrets').write('swarm_worker', 'join_token', token)
  #
  # A secret is named by a role and a name; what is stored is text. Values never appear in a
  # message of this class. Use them in `sensitive` resources and properties only.
  class Secrets
    class Error < StandardError; end
    class Missing < Error; end

    NAME = /\A[a-z][a-z0-9_]*\z/

    # The store that the attributes `secrets.store` and `secrets.path` name.
    def self.for(node)
      new(node['secrets']['store'], node['secrets']['path'], region: node['fleet']['aws']['region'])
    end

    # store: 'files' or 'ssm'. path: a directory, or the prefix of the parameters of a region.
    def initialize(store, path, region: '')
      @store = case store
               when 'files' then FileStore.new(path)
               when 'ssm' then SsmStore.new(path, region)
               else raise Error, "secrets.store is '#{store}': use 'files' or 'ssm'"
               end
    end

    # The value; raises Missing when there is none, Error when the store cannot be read.
    def read(role, name)
      @store.read(*checked(role, name)) || raise(Missing, "no secret #{name} of role #{role} in #{@store}")
    end

    def exist?(role, name)
      !@store.read(*checked(role, name)).nil?
    end

    # Returns true if the stored value changed. An empty value is refused.
    def write(role, name, value)
      checked(role, name)
      raise Error, "the value of #{role}/#{name} is empty" if value.to_s.empty?
      return false if @store.read(role, name) == value

      @store.write(role, name, value)
      true
    end

    private

    # Names become part of a path: nothing but lower case letters, digits and underscores.
    def checked(role, name)
      [role, name].each { |part| raise Error, "'#{part}' is no name of a role or secret" unless NAME.match?(part.to_s) }
    end

    # One file of mode 0600 for each secret under <root>/<role>/.
    class FileStore
      def initialize(root)
        @root = root
      end

      def to_s
        @root
      end

      def read(role, name)
        File.read(path(role, name))
      rescue Errno::ENOENT, Errno::ENOTDIR
        nil
      rescue SystemCallError => e
        raise Error, "cannot read #{path(role, name)}: #{e.class.name.split('::').last}"
      end

      # A reader sees the old value or the new one, whenever this is interrupted.
      def write(role, name, value)
        target = path(role, name)
        temporary = "#{target}.#{SecureRandom.hex(6)}.tmp"
        File.open(temporary, File::WRONLY | File::CREAT | File::EXCL, 0o600) do |file|
          file.write(value)
          file.fsync
        end
        File.rename(temporary, target)
      rescue SystemCallError => e
        raise Error, "cannot write #{target}: #{e.class.name.split('::').last}"
      end

      private

      def path(role, name)
        File.join(@root, role, name)
      end
    end

    # One SecureString parameter for each secret, named <prefix>/<role>/<name>.
    class SsmStore
      # A certificate with a long chain has more than the 4 KB of the free tier: that one alone is paid for.
      TIER = 'Intelligent-Tiering'.freeze

      def initialize(prefix, region, client: nil)
        @prefix = prefix.chomp('/')
        @region = region
        @client = client
      end

      def to_s
        "the parameter store under #{@prefix}"
      end

      def read(role, name)
        parameter = "#{@prefix}/#{role}/#{name}"
        call('read', parameter) { |client| client.get_parameter(name: parameter, with_decryption: true).parameter.value }
      end

      def write(role, name, value)
        parameter = "#{@prefix}/#{role}/#{name}"
        call('write', parameter) { |client| client.put_parameter(name: parameter, value: value, type: 'SecureString', tier: TIER, overwrite: true) }
      end

      private

      # nil when there is no such parameter. The client comes first: without its gem the classes of
      # its errors do not exist.
      def call(verb, parameter)
        connection = client
        begin
          yield connection
        rescue Aws::SSM::Errors::ParameterNotFound
          nil
        rescue Aws::Errors::ServiceError, Seahorse::Client::NetworkingError => e
          raise Error, "cannot #{verb} #{parameter}: #{e.class.name}"
        end
      end

      def client
        @client ||= begin
          require 'aws-sdk-ssm'
          # Given: the SDK does not ask the metadata service where its machine is.
          Aws::SSM::Client.new(region: @region)
        end
      rescue LoadError
        raise Error, "secrets.store is 'ssm', but the gem aws-sdk-ssm is not installed on this node"
      end
    end
  end
end
