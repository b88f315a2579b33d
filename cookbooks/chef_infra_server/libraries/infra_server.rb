require 'digest'
require 'mixlib/shellout'
require 'openssl'

# What an Infra Server is, asked from its own control program, and what it should be.
module ChefInfraServer
  class Invalid < StandardError; end

  # Answers of chef-server-ctl (or cinc-server-ctl): whole lines, so that no name is taken for another
  # that begins with it.
  class Ctl
    # The API needs some seconds after a reconfigure before it answers.
    ATTEMPTS = 10
    PAUSE_S = 3
    TIMEOUT_S = 120

    def initialize(program, pause_s: PAUSE_S)
      @program = program
      @pause_s = pause_s
    end

    def users
      names('user-list')
    end

    def organizations
      names('org-list')
    end

    def user_keys(user)
      key_names('list-user-keys', user)
    end

    def client_keys(organization, client)
      key_names('list-client-keys', organization, client)
    end

    private

    def names(*arguments)
      ask(*arguments).lines.map(&:strip).reject(&:empty?)
    end

    def key_names(*arguments)
      ask(*arguments).lines.filter_map { |line| line.chomp[/\Aname: (.+)\z/, 1] }
    end

    def ask(*arguments)
      answer = nil
      ATTEMPTS.times do |number|
        sleep @pause_s if number.positive?
        answer = Mixlib::ShellOut.new(@program, *arguments, timeout: TIMEOUT_S).run_command
        return answer.stdout unless answer.error?
      end
      raise Invalid, "#{@program} #{arguments.join(' ')}: #{answer.stderr.strip}"
    end
  end

  module_function

  # Raises Invalid unless there is either a matching, valid pair of files or none at all: with one of
  # the two, a reconfigure would stop half-way.
  def check_pair!(certificate_file, private_key_file, api_fqdn)
    return if certificate_file.nil? && private_key_file.nil?
    raise Invalid, 'certificate_file and private_key_file: both or neither' if certificate_file.nil? || private_key_file.nil?

    missing = [certificate_file, private_key_file].reject { |path| File.file?(path) }
    raise Invalid, "#{missing.join(', ')}: no such file" unless missing.empty?

    WebTls::Certificate.new(File.read(certificate_file))
                       .check!(private_key: File.read(private_key_file), server_names: [api_fqdn])
  end

  # Raises Invalid unless the package is named in exactly one of the two ways.
  def check_package!(package_name:, source:, sha256:)
    raise Invalid, 'either package_name or source says what to install' if package_name.empty? == source.empty?
    return if source.empty?
    raise Invalid, 'source is neither an https URL nor an absolute path' unless source.start_with?('https://', '/')
    raise Invalid, 'source needs sha256, 64 hexadecimal digits' unless sha256.match?(/\A\h{64}\z/)
  end

  # A key's name says which key it is, so the names alone tell whether a key is there.
  def key_name(public_key)
    "hubfleet-#{Digest::SHA256.hexdigest(OpenSSL::PKey.read(public_key).public_to_der)[0, 16]}"
  end

  # Changes with everything that a reconfigure reads.
  def fingerprint(paths, version)
    parts = paths.compact.map { |path| "#{path} #{File.file?(path) ? Digest::SHA256.file(path).hexdigest : '-'}" }
    Digest::SHA256.hexdigest([version, *parts].join("\n"))
  end

  # Name of the package in a file.
  def package_of(archive)
    Mixlib::ShellOut.new('dpkg-deb', '--field', archive, 'Package').run_command.tap(&:error!).stdout.strip
  end

  # Version of an installed package; nil where it is not installed.
  def installed_version(package)
    shell = Mixlib::ShellOut.new('dpkg-query', '--show', '--showformat=${db:Status-Status} ${Version}', package).run_command
    shell.stdout[/\Ainstalled (.+)\z/, 1]
  end
end
