# The embedded Chef API by a web server of choice: chef_web.rb NAME SETTINGS.json
# NAME: webrick, or puma-THREADS.
require 'json'
require 'rackup/handler/webrick'
require_relative '../../cookbooks/chef_api/files/default/hubfleet-chef-api/lib/chef_api/service'

def webrick(app, host, port)
  quiet = WEBrick::Log.new($stderr, WEBrick::Log::WARN)
  Rackup::Handler::WEBrick.run(app, Host: host, Port: port, AccessLog: [], Logger: quiet) do |server|
    trap('TERM') { server.shutdown }
  end
end

def puma(app, host, port, threads)
  configuration = Puma::Configuration.new do |config|
    config.bind "tcp://#{host}:#{port}"
    config.threads 1, threads
    config.workers 0
    config.environment 'production'
    config.quiet
    config.app app
  end
  Puma::Launcher.new(configuration).run
end

name, file = ARGV
settings = JSON.parse(File.read(file))
app = ChefApi::Service.new(settings).app
place = [ChefApi::Service::HOST, settings.fetch('port')]
case name
when 'webrick' then webrick(app, *place)
when /\Apuma-(\d+)\z/ then puma(app, *place, Regexp.last_match(1).to_i)
else abort "no such web server: #{name}"
end
