require 'ffi_yajl'
require 'fileutils'

module ChefApi
  # What a crash can leave in the files of a store although each of them is whole, and its removal.
  #
  # Several requests of the Chef API are more than one write. Interrupted between two of them:
  #
  #   an object of a new kind, name or group     an empty directory
  #   deleting a client, then its keys           keys of nobody
  #   deleting a cookbook, then its files        files of no cookbook
  #   an upload                                  a sandbox, and files of no cookbook
  #   a policy's revision, then its group        a revision that no group has: it stays, harmless,
  #                                              and the same push completes it
  class Recovery
    # An empty data bag is an object; any other empty directory is left over from a crash.
    EMPTY_ALLOWED = %r{\Aorganizations/[^/]+(/data/[^/]+)?\z}
    # What an upload sends may wait this long for the cookbook that names it.
    UPLOAD_ENDS_S = 24 * 3600

    # The files that a cookbook's manifest names, in any version of the API.
    def self.checksums(manifest)
      manifest.values.grep(Array).flatten.grep(Hash).filter_map { |file| file['checksum'] }.uniq
    end

    # data, temporary: directories of the store.
    def initialize(data, temporary)
      @data = data
      @temporary = temporary
    end

    def call
      FileUtils.rm_rf(Dir.children(@temporary).map { |name| File.join(@temporary, name) })
      Dir[File.join(@data, 'organizations', '*')].each do |organization|
        FileUtils.rm_f(given_up(Dir[File.join(organization, 'sandboxes', '*')]))
        remove_keys_of_nobody(organization)
        remove_files_of_no_cookbook(organization)
      end
      remove_empty_directories
    end

    private

    def given_up(files)
      files.select { |file| Time.now - File.mtime(file) > UPLOAD_ENDS_S }
    end

    def remove_keys_of_nobody(organization)
      Dir[File.join(organization, 'client_keys', '*')].each do |keys|
        FileUtils.rm_rf(keys) unless File.file?(File.join(organization, 'clients', File.basename(keys)))
      end
    end

    def remove_files_of_no_cookbook(organization)
      files = given_up(Dir[File.join(organization, 'file_store', 'checksums', '*')])
      return if files.empty?

      used = used_checksums(organization)
      FileUtils.rm_f(files.reject { |file| used.include?(File.basename(file)) })
    end

    def used_checksums(organization)
      cookbooks = Dir[File.join(organization, '{cookbooks,cookbook_artifacts}', '*', '*')]
      cookbooks.each_with_object({}) do |file, used|
        self.class.checksums(FFI_Yajl::Parser.parse(File.binread(file))).each { |checksum| used[checksum] = true }
      end
    end

    def remove_empty_directories
      Dir.glob('**/', base: @data).sort_by { |name| -name.length }.each do |name|
        directory = File.join(@data, name)
        Dir.rmdir(directory) if Dir.empty?(directory) && !EMPTY_ALLOWED.match?(name.chomp('/'))
      end
    end
  end
end
