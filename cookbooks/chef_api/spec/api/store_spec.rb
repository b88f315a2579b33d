require_relative 'helper'

describe ChefApi::Store, :scratch do
  subject(:store) { described_class.new(@directory).tap { |store| store.create_dir(['organizations'], 'o', :recursive) } }

  let(:nodes) { %w(organizations o nodes) }

  def again
    described_class.new(@directory).tap(&:recover)
  end

  it 'keeps what it was given for the next process' do
    store.create(nodes, 'a', 'one', :create_dir)
    store.set(nodes + ['a'], 'two')
    expect(again.get(nodes + ['a'])).to eq('two')
  end

  it 'creates a name once' do
    store.create(nodes, 'a', 'one', :create_dir)
    expect { store.create(nodes, 'a', 'two') }.to raise_error(described_class::AlreadyExists)
    expect(store.get(nodes + ['a'])).to eq('one')
  end

  it 'knows what is not there' do
    calls = [-> { store.get(nodes + ['a']) }, -> { store.get(nodes) }, -> { store.set(nodes + ['a'], 'x') }, -> { store.delete(nodes + ['a']) },
             -> { store.list(nodes) }, -> { store.delete_dir(nodes) }, -> { store.create(nodes, 'a', 'x') }, -> { store.create_dir(nodes, 'd') }]
    calls.each { |call| expect(&call).to raise_error(described_class::NotFound) }
  end

  ['..', '.', '.hidden', '../../../etc/passwd', 'a/b', "nul\0", 'umlaut ü', '%41', 'x' * 100].each do |name|
    it "keeps the name #{name.inspect} inside its directory" do
      store.create(nodes, name, 'content', :create_dir)
      files = Dir.glob('**/*', File::FNM_DOTMATCH, base: "#{@directory}/data").select { |file| File.file?("#{@directory}/data/#{file}") }
      expect([store.list(nodes), store.get(nodes + [name]), files]).to match([[name], 'content', [%r{\Aorganizations/o/nodes/[^/.][^/]*\z}]])
    end
  end

  it 'takes a tree away at once' do
    store.create(%w(organizations o policies p revisions), '1', 'x', :create_dir)
    store.delete_dir(%w(organizations o policies p), :recursive)
    expect([store.exists_dir?(%w(organizations o policies p)), Dir.children("#{@directory}/tmp")]).to eq([false, []])
  end

  it 'removes what a crash left: half-written files, empty directories, uploads given up' do
    %w(now before).each { |name| store.create(%w(organizations o sandboxes), name, '{}', :create_dir) }
    File.utime(0, 0, "#{@directory}/data/organizations/o/sandboxes/before")
    store.create(%w(organizations o data bag), 'item', '{}', :create_dir)
    store.delete(%w(organizations o data bag item))
    FileUtils.mkdir_p("#{@directory}/data/organizations/o/policies/p/revisions")
    File.write("#{@directory}/tmp/abc", 'half')
    recovered = again
    expect([recovered.exists_dir?(%w(organizations o policies)), recovered.list(%w(organizations o sandboxes)), recovered.exists_dir?(%w(organizations o data bag)), Dir.children("#{@directory}/tmp")])
      .to eq([false, %w(now), true, []])
  end

  it 'says that there is no room, keeps what it had, and leaves nothing behind' do
    store.create(nodes, 'a', 'before', :create_dir)
    attempts = [-> { store.set(nodes + ['a'], 'x' * 50_000) }, -> { store.create(nodes, 'b', 'x' * 50_000) },
                -> { store.set(%w(organizations o policy_groups g policies p), 'x' * 50_000, :create, :create_dir) }]
    reader, writer = IO.pipe
    child = fork do
      trap('XFSZ', 'IGNORE')
      Process.setrlimit(Process::RLIMIT_FSIZE, 20_000)
      attempts.each do |attempt|
        attempt.call
        writer.puts 'stored'
      rescue ChefZero::RestErrorResponse => e
        writer.puts e.response_code
      end
      exit!(0)
    end
    writer.close
    Process.wait(child)
    found = Dir.glob('data/organizations/o/**/*', base: @directory) + Dir.glob('tmp/*', base: @directory)
    expect([reader.read.split, store.get(nodes + ['a']), found.sort])
      .to eq([%w(507 507 507), 'before', %w(data/organizations/o/nodes data/organizations/o/nodes/a)])
  end

  it 'removes keys of nobody, and files of no cookbook once their upload has been given up' do
    used, unused, fresh = %w(a b c).map { |letter| letter * 32 }
    [used, unused, fresh].each { |sum| store.create(%w(organizations o file_store checksums), sum, 'x', :create_dir) }
    [used, unused].each { |sum| File.utime(0, 0, "#{@directory}/data/organizations/o/file_store/checksums/#{sum}") }
    store.create(%w(organizations o cookbook_artifacts web), '1', %({"all_files":[{"checksum":"#{used}"}]}), :create_dir)
    store.create(%w(organizations o clients), 'known', '{}', :create_dir)
    %w(known gone).each { |name| store.create(['organizations', 'o', 'client_keys', name, 'keys'], 'k', '{}', :create_dir) }
    recovered = again
    expect([recovered.list(%w(organizations o file_store checksums)).sort, recovered.list(%w(organizations o client_keys))])
      .to eq([[used, fresh], %w(known)])
  end

  it 'makes a client without the keys that its name had before' do
    store.create(%w(organizations o client_keys a keys), 'k', '{}', :create_dir)
    store.create(%w(organizations o clients), 'a', '{}', :create_dir)
    expect(store.exists_dir?(%w(organizations o client_keys a))).to be(false)
  end

  it 'keeps a snapshot as it was while the data change' do
    store.create(nodes, 'a', 'one', :create_dir)
    copy = store.snapshot
    store.set(nodes + ['a'], 'two')
    store.create(nodes, 'b', 'new')
    expect([File.read("#{copy}/organizations/o/nodes/a"), Dir.children("#{copy}/organizations/o/nodes")]).to eq(['one', %w(a)])
  end

  # A crash after any of the renames of a replacement: decided is decided, undecided is nothing.
  {
    'before it is decided' => [[], 'old'],
    'when it is decided' => [[%w(staged/data next)], 'new'],
    'between the two' => [[%w(staged/data next), %w(data tmp/away)], 'new'],
  }.each do |moment, (renames, expected)|
    it "has one of both after a crash #{moment}" do
      store.create(nodes, 'a', 'old', :create_dir)
      staged = store.workspace
      described_class.new(staged).create(nodes, 'a', 'new', :create_dir)
      renames.each { |from, to| File.rename(from.start_with?('staged') ? "#{staged}/data" : "#{@directory}/#{from}", "#{@directory}/#{to}") }
      expect([again.get(nodes + ['a']), Dir.children("#{@directory}/tmp"), File.exist?("#{@directory}/next")]).to eq([expected, [], false])
    end
  end

  # The writer says what it was told is stored; killed at any moment, all of that is there, and whole.
  it 'loses nothing that was acknowledged when it is killed' do
    writer = <<~RUBY
      require "chef_api/store"
      store = ChefApi::Store.new(ARGV[0])
      (ARGV[1].to_i..).each do |i|
        store.create(%w(organizations o nodes), "n\#{i}", "\#{i} " * 20_000, :create_dir)
        store.set(%w(organizations o nodes shared), "\#{i} " * 20_000, :create)
        $stdout.syswrite("\#{i}\n")
      end
    RUBY
    store
    library = File.expand_path('../../files/default/hubfleet-chef-api/lib', __dir__)
    last = 0
    6.times do |round|
      acknowledged = IO.popen(['ruby', '-I', library, '-e', writer, @directory, (last + 1).to_s]) do |output|
        lines = [output.gets]
        sleep(0.02 * round)
        Process.kill('KILL', output.pid)
        lines.concat(output.readlines).map(&:to_i)
      end
      recovered = again
      acknowledged.each { |i| expect(recovered.get(nodes + ["n#{i}"])).to eq("#{i} " * 20_000) }
      last = acknowledged.max
      expect(recovered.get(nodes + ['shared']).split.uniq.map(&:to_i)).to match([be >= last])
      # Created but not acknowledged: whole all the same.
      unacknowledged = nodes + ["n#{last + 1}"]
      expect(recovered.get(unacknowledged)).to eq("#{last + 1} " * 20_000) if recovered.exists?(unacknowledged)
      recovered.delete(unacknowledged) if recovered.exists?(unacknowledged)
    end
  end
end
