# What the resource web_tls_acme does about a certificate, without Chef: prints it as one line of JSON.
#   try.rb COOKBOOKS DIRECTORY NAME SECRETS STATE [SECONDS FROM NOW]
require 'json'

cookbooks, directory, name, secrets, state, later = ARGV
require "#{cookbooks}/node_base/libraries/secrets"
require "#{cookbooks}/web_tls/libraries/acme"

now = Time.now + later.to_i
acme = WebTls::Acme.new(
  role: 'hub', directory: directory, names: [name],
  store: Hubfleet::Secrets.new('files', secrets), local: Hubfleet::Secrets.new('files', state),
  client: WebTls::AcmeClient.new(directory, '', '/var/lib/challenges'),
  tries: WebTls::AcmeTries.new("#{state}/state.json", 'directory' => directory, 'host' => name)
)
said = { 'due' => acme.due?(now) }
begin
  acme.renew!(now) if said['due']
  acme.keep! if acme.unkept?
rescue WebTls::Acme::Failed => e
  said['failed'] = e.message
end
# What was issued just now is valid from a moment on that is later than `now`.
if (kept = acme.kept([now, Time.now].max))
  leaf = OpenSSL::X509::Certificate.new(kept.certificate)
  said.update('serial' => leaf.serial.to_s(16), 'not_after' => leaf.not_after.to_i, 'renew_at' => kept.renew_at.to_i, 'curve' => OpenSSL::PKey.read(kept.private_key).group.curve_name,
              'certificates' => kept.certificate.scan('BEGIN').size, 'bytes' => kept.to_s.bytesize)
end
puts JSON.generate(said)
