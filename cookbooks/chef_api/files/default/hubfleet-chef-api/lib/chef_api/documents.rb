require 'digest'
require 'ffi_yajl'
require 'time'
require_relative 'errors'
require_relative 'identities'

module ChefApi
  # What a body must be before it may become data. chef-zero checks none of this.
  module Documents
    # Objects whose names are checked where they are made or renamed.
    NAMED = %w(clients nodes).freeze
    # Where bodies are not JSON.
    FILES = [%w(file_store checksums), %w(_snapshot parts)].freeze
    EXPIRATION = /\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/

    module_function

    # The parsed body of a request that carries a document, nil for any other; raises Refused.
    # path: segments below the organization.
    def read!(verb, path, body)
      parse(body) if %w(POST PUT).include?(verb) && !FILES.include?(path.first(2))
    end

    # What a body must say; raises Refused. To be told to those who may send it only.
    def check!(verb, path, document, body)
      return check_file(path.last, body) if verb == 'PUT' && path.first == 'file_store'
      return if document.nil?

      check_name(document) if NAMED.include?(path.first)
      check_public_key(document) if %w(clients users).include?(path.first)
      check_key(verb, path, document) if path.first == 'clients' && path[2] == 'keys'
    end

    # A file's name is its MD5 sum: what was cut or altered on the way must not be kept.
    def check_file(name, body)
      return if Digest::MD5.hexdigest(body) == name

      bad('the content does not have the checksum it is named by')
    end

    def parse(body)
      document = FFI_Yajl::Parser.parse(body)
      document.is_a?(Hash) ? document : bad('the body must be a JSON object')
    rescue FFI_Yajl::ParseError, EncodingError
      bad('the body is not valid JSON')
    end

    def check_name(document)
      name = document['name']
      bad('name: letters, digits, _ . : and - are allowed, 255 at most') unless name.nil? || name.is_a?(String) && Identities::NAME.match?(name)
    end

    def check_public_key(document)
      Identities.public_key(document['public_key']) if document['public_key']
    rescue ArgumentError => e
      bad("public_key: #{e.message}")
    end

    # A key that is made has a name and an end; one that is changed keeps its name.
    def check_key(verb, path, document)
      name, expiration = document.values_at('name', 'expiration_date')
      if verb == 'POST'
        bad('a key needs name, expiration_date, and public_key or create_key') unless name && expiration && (document['public_key'] || document['create_key'])
      elsif name && name != path.last
        bad('a key is not renamed: add another one')
      end
      bad("expiration_date: 'infinity' or YYYY-MM-DDThh:mm:ssZ") unless expiration.nil? || expiration == 'infinity' || time?(expiration)
      bad('the default key does not expire: add another one') if (name || path.last) == Identities::DEFAULT_KEY && ![nil, 'infinity'].include?(expiration)
    end

    def time?(text)
      text.is_a?(String) && EXPIRATION.match?(text) && Time.iso8601(text)
    rescue ArgumentError
      false
    end

    def bad(reason)
      raise Refused.new(400, reason)
    end

    private_class_method :check_file, :parse, :check_name, :check_public_key, :check_key, :time?, :bad
  end
end
