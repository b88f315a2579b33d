# The site of port 80 as web_tls_acme renders it: render.rb TEMPLATE HOST CHALLENGES
require 'erb'

template, @host, @challenges = ARGV
@port = 80
puts ERB.new(File.read(template), trim_mode: '-').result(binding)
