require 'chef_zero/data_store/data_already_exists_error'
require 'chef_zero/data_store/data_not_found_error'
require 'chef_zero/data_store/interface_v2'
require 'fileutils'
require 'securerandom'

module ChefApi
  # chef-zero's data on disk, one file for each object, such that a crash at any moment loses
  # nothing that was acknowledged and leaves nothing half written: a file is written and synced
  # beside the data, then moved into place, then its directory is synced.
  #
  #   <root>/data/organizations/<organization>/clients/<name>     <root>/tmp/<random>
  #
  # Calls are not synchronized: the caller lets one writer in at a time.
  class Store < ChefZero::DataStore::InterfaceV2
    NotFound = ChefZero::DataStore::DataNotFoundError
    AlreadyExists = ChefZero::DataStore::DataAlreadyExistsError
    # No such path, a part of it is a file, it is a directory, a name no file can have.
    ABSENT = [Errno::ENOENT, Errno::ENOTDIR, Errno::EISDIR, Errno::ENAMETOOLONG].freeze
    # An empty data bag is an object; any other empty directory is left over from a crash.
    EMPTY_ALLOWED = %r{\Aorganizations/[^/]+(/data/[^/]+)?\z}
    UPLOAD_ENDS_S = 24 * 3600

    def initialize(root)
      @data = File.join(root, 'data')
      @temporary = File.join(root, 'tmp')
      FileUtils.mkdir_p([@data, @temporary], mode: 0o700)
    end

    # To be called before the first request: removes what a crash left behind, and uploads that
    # nobody finished.
    def recover
      FileUtils.rm_rf(Dir.children(@temporary).map { |name| File.join(@temporary, name) })
      uploads = Dir[File.join(@data, 'organizations', '*', 'sandboxes', '*')]
      FileUtils.rm_f(uploads.select { |file| Time.now - File.mtime(file) > UPLOAD_ENDS_S })
      remove_empty_directories
    end

    # Part of chef-zero's interface; durable data is not cleared.
    def clear; end

    def create_dir(path, name, *options)
      directory = file(path + [name])
      raise NotFound, path unless options.include?(:recursive) || File.directory?(file(path))
      raise AlreadyExists, path + [name] if File.exist?(directory) && !options.include?(:recursive)

      make_directory(directory)
    end

    def create(path, name, data, *options)
      prepare(path, options)
      target = file(path + [name])
      with_temporary(data) { |temporary| File.link(temporary, target) }
      sync(File.dirname(target))
    rescue Errno::EEXIST
      raise AlreadyExists, path + [name]
    rescue *ABSENT
      raise NotFound, path
    end

    def get(path, _request = nil)
      File.binread(file(path)).force_encoding(Encoding::UTF_8)
    rescue *ABSENT
      raise NotFound, path
    end

    def set(path, data, *options)
      target = file(path)
      raise NotFound, path unless options.include?(:create) || File.file?(target)

      prepare(path[0..-2], options)
      with_temporary(data) { |temporary| File.rename(temporary, target) }
      sync(File.dirname(target))
    rescue *ABSENT
      raise NotFound, path
    end

    def delete(path, *_options)
      File.unlink(file(path))
      sync(File.dirname(file(path)))
    rescue *ABSENT, Errno::EPERM
      raise NotFound, path
    end

    # One rename takes the whole tree away.
    def delete_dir(path, *options)
      directory = file(path)
      raise NotFound, path unless File.directory?(directory)
      return Dir.rmdir(directory) unless options.include?(:recursive)

      away = temporary_name
      File.rename(directory, away)
      sync(File.dirname(directory))
      FileUtils.rm_rf(away)
    end

    def list(path)
      Dir.children(file(path)).map { |name| decode(name) }
    rescue *ABSENT
      raise NotFound, path
    end

    def exists?(path, _options = {})
      File.file?(file(path))
    end

    def exists_dir?(path)
      File.directory?(file(path))
    end

    private

    def file(path)
      File.join(@data, *path.map { |segment| encode(segment.to_s) })
    end

    # A name is one file name, whatever it contains: no way out of the directory, no hidden file.
    def encode(segment)
      segment.b.gsub(/[^A-Za-z0-9_.:~-]|\A\./n) { |character| format('%%%02X', character.ord) }
    end

    def decode(name)
      name.b.gsub(/%(\h\h)/n) { Regexp.last_match(1).hex.chr }.force_encoding(Encoding::UTF_8)
    end

    def prepare(path, options)
      make_directory(file(path)) if options.include?(:create_dir)
    end

    def temporary_name
      File.join(@temporary, SecureRandom.hex(12))
    end

    def with_temporary(data)
      name = temporary_name
      File.open(name, File::WRONLY | File::CREAT | File::EXCL | File::BINARY, 0o600) do |file|
        file.write(data)
        file.fsync
      end
      yield name
    ensure
      FileUtils.rm_f(name)
    end

    def make_directory(directory)
      return if File.directory?(directory)

      parent = File.dirname(directory)
      make_directory(parent)
      Dir.mkdir(directory, 0o700)
      sync(parent)
    end

    def sync(directory)
      File.open(directory, &:fsync)
    end

    def remove_empty_directories
      Dir.glob('**/', base: @data).sort_by { |name| -name.length }.each do |name|
        directory = File.join(@data, name)
        Dir.rmdir(directory) if Dir.empty?(directory) && !EMPTY_ALLOWED.match?(name.chomp('/'))
      end
    end
  end
end
