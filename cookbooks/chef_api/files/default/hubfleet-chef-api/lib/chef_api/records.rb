require 'ffi_yajl'
require 'chef_zero/data_store/data_not_found_error'

module ChefApi
  # The organization's objects as they are stored, without the defaults that chef-zero lays over
  # them: those come with a key that everybody knows.
  class Records
    def initialize(store, organization)
      @store = store
      @root = ['organizations', organization]
    end

    # The parsed object at a path below the organization, nil where there is none.
    def find(path)
      FFI_Yajl::Parser.parse(@store.get(@root + path))
    rescue ChefZero::DataStore::DataNotFoundError
      nil
    end

    # Names below a path, none where there is no such path.
    def list(path)
      @store.list(@root + path)
    rescue ChefZero::DataStore::DataNotFoundError
      []
    end
  end
end
