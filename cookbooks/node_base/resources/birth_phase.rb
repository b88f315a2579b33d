provides :birth_phase
resource_name :birth_phase
unified_mode true

description 'Tells the Chef server how far the birth of this machine is, at once: once per phase, in its first converge only.'

property :phase, String,
         name_property: true,
         equal_to: %w(converging pulling joining joined),
         description: 'What begins now.'

property :at_once, [true, false],
         default: true,
         desired_state: false,
         description: 'Whether to save the node object now, or leave it to the end of the run.'

property :file, String,
         default: '/var/lib/hubfleet/birth.json',
         desired_state: false,
         description: 'Where the moments stand on the node.'

property :born_file, String,
         default: '/var/lib/hubfleet/last-converge.json',
         desired_state: false,
         description: 'What a machine has after its first converge; one that has it and no record of its birth is older than such records.'

property :stamped, [true, false],
         default: true,
         description: 'Whether the phase needs no moment any more; read only.'

load_current_value do |new_resource|
  stamped Birth.read(new_resource.file).key?(new_resource.phase) ||
          (!::File.exist?(new_resource.file) && ::File.exist?(new_resource.born_file))
end

action :stamp, description: 'Note the moment, and save the node object.' do
  converge_if_changed :stamped do
    moments = Birth.read(new_resource.file).merge(new_resource.phase => Time.now.to_f.round(3))
    ::File.write(new_resource.file, JSON.generate(moments))
    node.normal['hubfleet']['birth'] = moments
    tell if new_resource.at_once
  end
end

action_class do
  # Nobody's birth fails because nobody heard of it.
  def tell
    node.save unless Chef::Config[:local_mode]
  rescue Net::HTTPClientException, Net::HTTPFatalError, SystemCallError, OpenSSL::SSL::SSLError, Timeout::Error => e
    Chef::Log.warn("birth_phase: the Chef server was not told of #{new_resource.phase}: #{e.message}")
  end
end
