require 'digest'
require 'ffi_yajl'
require_relative 'errors'
require_relative 'identities'

module ChefApi
  # What a body must be before it may become data. chef-zero checks none of this.
  module Documents
    module_function

    # The parsed body of a request that carries a document, nil for any other; raises Refused.
    # path: segments below the organization.
    def check!(verb, path, body)
      return unless %w(POST PUT).include?(verb)
      return check_file(path.last, body) if path.first == 'file_store'
      return if path.first(2) == %w(_snapshot parts) # a piece of an archive

      document = parse(body)
      check_key(document) if %w(clients users).include?(path.first)
      document
    end

    # A file's name is its MD5 sum: what was cut or altered on the way must not be kept.
    def check_file(name, body)
      return if Digest::MD5.hexdigest(body) == name

      raise Refused.new(400, 'the content does not have the checksum it is named by')
    end

    def parse(body)
      document = FFI_Yajl::Parser.parse(body)
      return document if document.is_a?(Hash)

      raise Refused.new(400, 'the body must be a JSON object')
    rescue FFI_Yajl::ParseError, EncodingError
      raise Refused.new(400, 'the body is not valid JSON')
    end

    def check_key(document)
      Identities.public_key(document['public_key']) if document['public_key']
    rescue ArgumentError => e
      raise Refused.new(400, "public_key: #{e.message}")
    end

    private_class_method :check_file, :parse, :check_key
  end
end
