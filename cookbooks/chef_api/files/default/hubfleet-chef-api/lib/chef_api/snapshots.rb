require 'digest'
require 'ffi_yajl'
require 'fileutils'
require_relative 'archive'
require_relative 'contents'
require_relative 'errors'
require_relative 'identities'
require_relative 'store'

module ChefApi
  # All data of the organization as one archive, and back; everything else is passed on to chef-zero.
  # Only administrators get here: no row of the authorization table names these paths for others.
  #
  #   GET _snapshot                 an archive of this moment
  #   PUT _snapshot/parts/OFFSET    a part of an archive to restore, in requests of ordinary size
  #   PUT _snapshot                 {"sha256": of all parts, "keep": [NAME], "force": BOOLEAN}
  #
  # A restore replaces everything, so it is refused where there are nodes or clients, but for those
  # that exist from the start and those in `keep`: their clients, keys and nodes stay as they are
  # here. `force` replaces all the same. Called by one request at a time, as chef-zero is.
  class Snapshots
    SEGMENT = '_snapshot'.freeze
    # Bytes of an archive; 100 nodes and their cookbooks have some ten million.
    LIMIT = 512 * 1024 * 1024

    # seeds: a hash of clients that exist from the start, name => what Identities#ensure is given.
    def initialize(backend, store, organization:, seeds:, limit: LIMIT)
      @backend = backend
      @store = store
      @organization = organization
      @root = ['organizations', organization]
      @seeds = seeds
      @limit = limit
      @upload = nil
    end

    def call(env)
      path = env['PATH_INFO'].split('/').reject(&:empty?)
      return @backend.call(env) unless path.first(3) == [*@root, SEGMENT]

      case [env['REQUEST_METHOD'], *path.drop(3)]
      in ['GET'] then [200, { 'Content-Type' => 'application/gzip' }, Archive::Stream.new(@store.snapshot, @organization)]
      in ['PUT', 'parts', /\A\d{1,12}\z/ => offset] then receive(Integer(offset, 10), env['rack.input'].read)
      in ['PUT'] then restore(FFI_Yajl::Parser.parse(env['rack.input'].read))
      else raise Refused.new(405, "#{SEGMENT} knows GET, PUT and PUT parts/OFFSET")
      end
    rescue *Store::FULL, ChefZero::RestErrorResponse
      raise Refused.new(*Store::NO_ROOM)
    end

    private

    # A part may be sent again: what follows its offset is forgotten.
    def receive(offset, part)
      discard if offset == 0
      @upload ||= File.join(@store.workspace, 'archive')
      size = File.exist?(@upload) ? File.size(@upload) : 0
      raise Refused.new(409, "the archive has #{size} bytes so far: go on there, or begin again at 0") if offset > size
      raise Refused.new(413, "the archive is larger than #{@limit} bytes") if offset + part.bytesize > @limit

      File.open(@upload, File::WRONLY | File::CREAT | File::BINARY, 0o600) do |file|
        file.truncate(offset)
        file.seek(offset)
        file.write(part)
      end
      answer('size' => offset + part.bytesize)
    end

    def restore(order)
      keep = Array(order['keep']) | @seeds.keys
      refuse_to_overwrite(keep) unless order['force'] == true
      unless @upload && File.exist?(@upload) && Digest::SHA256.file(@upload).hexdigest == order['sha256']
        raise Refused.new(400, 'the parts do not add up to an archive of this sum: send them again')
      end

      workspace = @store.workspace
      count = stage(workspace, keep)
      @store.replace(workspace)
      answer('restored' => count)
    ensure
      discard
      FileUtils.rm_rf(workspace) if workspace
    end

    def refuse_to_overwrite(keep)
      found = %w(clients nodes).to_h { |kind| [kind, names(@store, kind) - keep] }.reject { |_kind, names| names.empty? }
      return if found.empty?

      words = found.map { |kind, names| "#{names.size} #{kind} (#{names.min} ...)" }.join(' and ')
      raise Refused.new(409, "this server is in use: it has #{words}, which a restore would replace")
    end

    # Everything is checked in a store of its own before a single file of this one is touched.
    def stage(workspace, keep)
      staged = Store.new(workspace)
      count = File.open(@upload, 'rb') { |file| Archive.unpack(file, staged, @organization) }
      Contents.new(staged, @organization).check!
      keep.each { |name| carry(name, staged) }
      identities = Identities.new(staged, @organization)
      @seeds.each { |name, client| identities.ensure(name, **client) }
      count
    end

    # A client that has its key from here goes on with it, whatever the archive knows of its name.
    def carry(name, staged)
      return unless @store.exists?(@root + ['clients', name])

      keys = @root + ['client_keys', name]
      staged.delete_dir(keys, :recursive) if staged.exists_dir?(keys)
      copy(@root + ['clients', name], staged)
      names(@store, 'client_keys', name, 'keys').each { |key| copy(keys + ['keys', key], staged) }
      copy(@root + ['nodes', name], staged) if @store.exists?(@root + ['nodes', name])
    end

    def copy(path, staged)
      staged.set(path, @store.get(path), :create, :create_dir)
    end

    def names(store, *path)
      store.list(@root + path)
    rescue Store::NotFound
      []
    end

    def discard
      FileUtils.rm_rf(File.dirname(@upload)) if @upload
      @upload = nil
    end

    def answer(document)
      [200, { 'Content-Type' => 'application/json' }, [FFI_Yajl::Encoder.encode(document)]]
    end
  end
end
