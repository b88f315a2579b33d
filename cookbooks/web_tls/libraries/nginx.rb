require 'fileutils'
require 'mixlib/shellout'
require 'tmpdir'

module WebTls
  # What the resources of this cookbook know about nginx: its files, how to test a candidate
  # without touching the running configuration, and whether nginx runs with what is on disk.
  module Nginx
    MAIN = '/etc/nginx/nginx.conf'.freeze
    SITES = '/etc/nginx/sites-enabled'.freeze
    PID = '/run/nginx.pid'.freeze

    class Invalid < StandardError; end

    module_function

    def site_path(name)
      "#{SITES}/#{name}.conf"
    end

    # Whether a configuration or certificate file is newer than the last start or reload of nginx.
    def stale?(tls_directory = '/etc/hubfleet/tls')
      Hubfleet::Unit.new('nginx').older_than?([MAIN, *Dir["#{SITES}/*.conf"], *Dir["#{tls_directory}/*"]])
    end

    # Tests the configuration as it would be with one file replaced. Returns true, or raises
    # Invalid with what nginx says.
    def check!(main: MAIN, site: nil, candidate: nil)
      Dir.mktmpdir('nginx-check') do |directory|
        copy_sites(directory, site, candidate)
        trial = trial_configuration(File.read(main), directory)
        result = Mixlib::ShellOut.new('nginx', '-t', '-q', '-c', trial, timeout: 30).run_command
        raise Invalid, "nginx refuses the configuration: #{result.stderr.strip}" if result.error?
      end
      true
    end

    def copy_sites(directory, site, candidate)
      Dir["#{SITES}/*.conf"].each { |path| FileUtils.cp(path, directory) }
      FileUtils.cp(candidate, "#{directory}/#{site}.conf") if candidate
    end

    # nginx -t creates the pid file it is told about, so the trial gets one of its own.
    def trial_configuration(text, directory)
      path = "#{directory}/nginx.conf.trial"
      File.write(path, text.sub(/^pid .*;/, "pid #{directory}/nginx.pid;").sub("include #{SITES}/", "include #{directory}/"))
      path
    end

    private_class_method :copy_sites, :trial_configuration
  end
end
