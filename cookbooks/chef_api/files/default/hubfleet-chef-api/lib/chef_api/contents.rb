require 'digest'
require 'ffi_yajl'
require_relative 'errors'
require_relative 'identities'
require_relative 'recovery'
require_relative 'store'

module ChefApi
  # Whether the files of a store are what the API would have stored: the check before a restore.
  class Contents
    def initialize(store, organization)
      @store = store
      @root = ['organizations', organization]
    end

    # Raises Refused for the first object that cannot be right.
    def check!
      refuse(@store.list([]).join(', '), 'only organizations have a place here') unless @store.list([]) == ['organizations']
      refuse(@store.list(['organizations']).join(', '), 'another organization') unless @store.list(['organizations']) == [@root.last]

      walk(@root) { |path| check(path.drop(2), path) }
    end

    private

    def walk(path, &block)
      @store.list(path).each do |name|
        child = path + [name]
        @store.exists_dir?(child) ? walk(child, &block) : yield(child)
      end
    end

    def check(inner, path)
      content = @store.get(path)
      return check_file(inner, content) if inner.first == 'file_store'

      document = FFI_Yajl::Parser.parse(content)
      case inner
      in ['clients', name] then check_client(inner, document, name)
      in ['client_keys', name, 'keys', String] then check_key(inner, document, name)
      in ['nodes', name] then refuse(inner.join('/'), 'its name is another') unless named?(document, name)
      in ['cookbook_artifacts' | 'cookbooks', _name, _version] then check_cookbook(inner, document)
      else nil
      end
    rescue FFI_Yajl::ParseError, EncodingError
      refuse(inner.join('/'), 'not JSON')
    end

    def check_file(inner, content)
      return if inner.size == 3 && Digest::MD5.hexdigest(content) == inner.last

      refuse(inner.join('/'), 'its content has another checksum')
    end

    def check_client(inner, document, name)
      refuse(inner.join('/'), 'its name is another') unless named?(document, name)
      Identities.public_key(document['public_key']) if document['public_key']
    rescue ArgumentError => e
      refuse(inner.join('/'), e.message)
    end

    def check_key(inner, document, client)
      refuse(inner.join('/'), 'there is no such client') unless @store.exists?(@root + ['clients', client])
      Identities.public_key(document['public_key'])
    rescue ArgumentError => e
      refuse(inner.join('/'), e.message)
    end

    def check_cookbook(inner, document)
      refuse(inner.join('/'), 'not a cookbook') unless document.is_a?(Hash)
      missing = Recovery.checksums(document).reject { |checksum| @store.exists?(@root + ['file_store', 'checksums', checksum]) }
      refuse(inner.join('/'), "its file #{missing.first} is not there") if missing.any?
    end

    def named?(document, name)
      document.is_a?(Hash) && [document['name'], document['clientname']].compact.include?(name)
    end

    def refuse(what, why)
      raise Refused.new(400, "not a snapshot that can be restored: #{what}: #{why}")
    end
  end
end
