require 'ffi_yajl'
require 'fileutils'
require 'rubygems/package'
require 'time'
require 'zlib'
require_relative 'errors'

module ChefApi
  # The form of a snapshot: a tar.gz of the store's files below their own names, after an entry that
  # says how many there are. Unfinished uploads stay out.
  module Archive
    FORMAT = 1
    MANIFEST = 'snapshot.json'.freeze
    # GNU tar's way to say a name that no header has room for.
    LONG_NAME = '././@LongLink'.freeze
    UNFINISHED = %r{\Aorganizations/[^/]+/sandboxes(/|\z)}
    DATA_BAG = %r{\Aorganizations/[^/]+/data/[^/]+\z}

    # A Rack body: packs a directory while it is sent, and removes it in the end.
    class Stream
      # Lets a writer write to the block of `each`.
      Sink = Struct.new(:receiver) do
        def write(text)
          receiver.call(text.b)
          text.bytesize
        end
      end

      def initialize(directory, organization)
        @directory = directory
        @organization = organization
      end

      def each(&receiver)
        gzip = Zlib::GzipWriter.new(Sink.new(receiver))
        names = Dir.glob('**/*', base: @directory).sort.grep_v(UNFINISHED)
        files, directories = names.partition { |name| File.file?(File.join(@directory, name)) }
        bags = directories.select { |name| DATA_BAG.match?(name) }
        add(gzip, MANIFEST, FFI_Yajl::Encoder.encode(manifest(files.size, bags.size)))
        bags.each { |name| add(gzip, name, '', type: '5') }
        files.each { |name| add(gzip, name, File.binread(File.join(@directory, name))) }
        gzip.write("\0" * 1024)
        gzip.finish
      ensure
        close
      end

      def close
        FileUtils.rm_rf(@directory)
      end

      private

      def manifest(files, bags)
        { 'format' => FORMAT, 'organization' => @organization, 'time' => Time.now.utc.iso8601, 'files' => files, 'data_bags' => bags }
      end

      def add(gzip, name, content, type: '0')
        add(gzip, LONG_NAME, "#{name}\0", type: 'L') if name.bytesize > 100
        header = Gem::Package::TarHeader.new(name: name.byteslice(0, 100), prefix: '', mode: type == '5' ? 0o700 : 0o600,
                                             size: content.bytesize, typeflag: type, mtime: 0)
        gzip.write(header.to_s)
        gzip.write(content)
        gzip.write("\0" * (-content.bytesize % 512))
      end
    end

    module_function

    # Puts the objects of an archive into an empty store and returns their number; raises Refused for
    # anything but a whole archive of this organization. A name cannot lead out of the store: the
    # store encodes each of its parts.
    def unpack(file, store, organization)
      count = { '0' => 0, '5' => 0 }
      manifest = nil
      entries(file) do |name, type, content|
        next manifest = read_manifest(content, organization) if manifest.nil? && name == MANIFEST

        refuse("#{name} has no place in it") unless manifest && count.key?(type)
        type == '5' ? add_directory(store, name) : add_file(store, name, content)
        count[type] += 1
      end
      refuse('it is incomplete') unless manifest && count.values == manifest.values_at('files', 'data_bags')
      count['0']
    rescue Zlib::Error, Gem::Package::Error, ArgumentError, FFI_Yajl::ParseError, EOFError => e
      refuse("it cannot be read: #{e.message}")
    end

    def entries(file)
      long = nil
      Zlib::GzipReader.wrap(file) do |gzip|
        Gem::Package::TarReader.new(gzip).each do |entry|
          content = entry.read.to_s
          next long = content.chomp("\0") if entry.header.typeflag == 'L'

          yield long || entry.header.name, entry.header.typeflag, content
          long = nil
        end
        # What follows the last entry holds the checksum of all.
        gzip.read
      end
    end

    def read_manifest(content, organization)
      manifest = FFI_Yajl::Parser.parse(content)
      refuse("it has format #{manifest['format']}, this server reads #{FORMAT}") unless manifest['format'] == FORMAT
      return manifest if manifest['organization'] == organization

      refuse("it is of organization #{manifest['organization']}")
    end

    def add_file(store, name, content)
      path = segments(name)
      refuse("#{name} is in it twice") if store.exists?(path)
      # Not `create`: it makes a client without the keys that its name had, which come first here.
      store.set(path, content, :create, :create_dir)
    rescue Store::NotFound
      refuse("#{name} has no place in it")
    end

    def add_directory(store, name)
      refuse("#{name} has no place in it") unless DATA_BAG.match?(name)
      path = segments(name)
      store.create_dir(path[0..-2], path.last, :recursive)
    end

    def segments(name)
      name.split('/').map { |segment| Store.decode(segment) }
    end

    def refuse(why)
      raise Refused.new(400, "not a snapshot that can be restored: #{why}")
    end
    private_class_method :entries, :read_manifest, :add_file, :add_directory, :segments, :refuse
  end
end
