require 'chef_zero/data_store/data_already_exists_error'
require 'chef_zero/data_store/data_not_found_error'
require 'chef_zero/data_store/interface_v2'
require 'chef_zero/rest_error_response'
require 'fileutils'
require 'securerandom'
require_relative 'recovery'

module ChefApi
  # chef-zero's data on disk, one file for each object, such that a crash at any moment loses
  # nothing that was acknowledged and leaves nothing half written: a file is written and synced
  # beside the data, then moved into place, then its directory is synced. No file is ever changed
  # in place: that is what makes a copy by hard links a copy of one moment.
  #
  #   <root>/data/organizations/<organization>/clients/<name>     <root>/tmp/<random>
  #   <root>/next: data that is about to replace the present one
  #
  # Calls are not synchronized: the caller lets one writer in at a time.
  class Store < ChefZero::DataStore::InterfaceV2
    NotFound = ChefZero::DataStore::DataNotFoundError
    AlreadyExists = ChefZero::DataStore::DataAlreadyExistsError
    # No such path, a part of it is a file, it is a directory, a name no file can have.
    ABSENT = [Errno::ENOENT, Errno::ENOTDIR, Errno::EISDIR, Errno::ENAMETOOLONG].freeze
    # There is no room: on the disk, in the quota, below the process's limit of a file.
    FULL = [Errno::ENOSPC, Errno::EDQUOT, Errno::EFBIG].freeze
    # chef-zero answers with the status of this error and of no other.
    NO_ROOM = [507, "the Chef server's disk is full: this was not stored; make room, then do it again"].freeze

    # The name that a file's name stands for.
    def self.decode(name)
      name.b.gsub(/%(\h\h)/n) { Regexp.last_match(1).hex.chr }.force_encoding(Encoding::UTF_8)
    end

    def initialize(root)
      @data = File.join(root, 'data')
      @temporary = File.join(root, 'tmp')
      @next = File.join(root, 'next')
      FileUtils.mkdir_p([@data, @temporary], mode: 0o700)
    end

    # To be called before the first request: completes a replacement that a crash interrupted, and
    # removes what else a crash left behind.
    def recover
      swap if File.directory?(@next)
      Recovery.new(@data, @temporary).call
    end

    # A directory of the store's file system for work that recovery throws away.
    def workspace
      temporary_name.tap { |name| Dir.mkdir(name, 0o700) }
    end

    # Links all files to a new directory and returns it: the data as it is now, whatever comes.
    # The caller removes it.
    def snapshot
      target = workspace
      Dir.glob('**/*', base: @data).sort.each do |name|
        source = File.join(@data, name)
        copy = File.join(target, name)
        File.directory?(source) ? Dir.mkdir(copy, 0o700) : File.link(source, copy)
      end
      target
    rescue SystemCallError
      FileUtils.rm_rf(target) if target
      raise
    end

    # Makes the data of another store, whose root is a workspace of this one, the data of this one:
    # all of it or, where this fails, none. It is decided with the first rename.
    def replace(workspace)
      File.rename(File.join(workspace, 'data'), @next)
      sync(File.dirname(@next))
      swap
    end

    # Part of chef-zero's interface; durable data is not cleared.
    def clear; end

    def create_dir(path, name, *options)
      directory = file(path + [name])
      raise NotFound, path unless options.include?(:recursive) || File.directory?(file(path))
      raise AlreadyExists, path + [name] if File.exist?(directory) && !options.include?(:recursive)

      make_directory(directory)
    rescue *FULL
      raise ChefZero::RestErrorResponse.new(*NO_ROOM)
    end

    def create(path, name, data, *options)
      target = file(path + [name])
      put(data, target, options) do |temporary|
        forget_keys(path + [name]) unless File.exist?(target)
        File.link(temporary, target)
      end
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

      put(data, target, options) { |temporary| File.rename(temporary, target) }
    rescue *ABSENT
      raise NotFound, path
    end

    def delete(path, *_options)
      File.unlink(file(path))
      sync(File.dirname(file(path)))
    rescue *ABSENT, Errno::EPERM
      raise NotFound, path
    rescue *FULL
      raise ChefZero::RestErrorResponse.new(*NO_ROOM)
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
    rescue *FULL
      raise ChefZero::RestErrorResponse.new(*NO_ROOM)
    end

    def list(path)
      Dir.children(file(path)).map { |name| self.class.decode(name) }
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

    # Writes aside, then lets the block move the file into place. Nothing is left where it fails:
    # neither half a file nor the directory made for it, which would be an object without content.
    def put(data, target, options)
      made = []
      with_temporary(data) do |temporary|
        made = make_directory(File.dirname(target)) if options.include?(:create_dir)
        yield temporary
      end
      sync(File.dirname(target))
    rescue SystemCallError => e
      made.reverse_each { |directory| Dir.rmdir(directory) if File.directory?(directory) && Dir.empty?(directory) }
      raise unless FULL.include?(e.class)

      raise ChefZero::RestErrorResponse.new(*NO_ROOM)
    end

    # Keys of an earlier client of the same name, whose deletion was interrupted before it came to them,
    # must not be good for the new one.
    def forget_keys(path)
      keys = path[0..1] + ['client_keys', path[3]]
      delete_dir(keys, :recursive) if path.size == 4 && path[2] == 'clients' && exists_dir?(keys)
    end

    def swap
      if File.directory?(@data)
        away = temporary_name
        File.rename(@data, away)
      end
      File.rename(@next, @data)
      sync(File.dirname(@data))
      FileUtils.rm_rf(away) if away
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

    # Returns what it had to make, from the top. Where it fails half-way, that is removed.
    def make_directory(directory)
      missing = []
      until File.directory?(directory)
        missing.unshift(directory)
        directory = File.dirname(directory)
      end
      made = []
      missing.each do |name|
        Dir.mkdir(name, 0o700)
        made << name
        sync(File.dirname(name))
      end
      made
    rescue SystemCallError
      made&.reverse_each { |name| Dir.rmdir(name) }
      raise
    end

    def sync(directory)
      File.open(directory, &:fsync)
    end
  end
end
