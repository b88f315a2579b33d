provides :notebook_probe
resource_name :notebook_probe
unified_mode true

description 'Runs the notebook image once as a student would, with the same restrictions, before the node may take students. Repeated only for another image.'

property :reference, String,
         name_property: true,
         description: 'Image with tag.'

property :uid, Integer,
         required: true,
         description: 'User and group id of the student in the container.'

property :memory_mb, Integer,
         required: true,
         description: 'Memory limit, MiB.'

property :homes, String,
         required: true,
         description: 'Directory of the homes; it must be possible to mount it.'

property :stamp_dir, String,
         default: '/var/lib/hubfleet/probes',
         description: 'Where the id of the image that passed is kept.'

property :timeout_s, Integer,
         default: 180,
         description: 'Seconds for the container; the first start reads the image from disk.'

property :image_id, String,
         description: 'Id of the image that passed; read only.'

load_current_value do |new_resource|
  stamp = new_resource.stamp
  current_value_does_not_exist! unless ::File.exist?(stamp)
  image_id ::File.read(stamp).strip
end

# One file for each reference: names of images hold characters that names of files do not.
def stamp
  ::File.join(stamp_dir, reference.gsub(/[^A-Za-z0-9._-]/, '_'))
end

action :run, description: 'Run the probe unless this very image has passed it.' do
  id = shell_out!('docker', 'image', 'inspect', '--format', '{{.Id}}', new_resource.reference).stdout.strip
  unless current_resource&.image_id == id
    converge_by("try #{new_resource.reference}") do
      probe
      keep(id)
    end
  end
end

action_class do
  # Imports what a server needs, as the student, without network and with every capability dropped.
  PROBE = 'import os, jupyterlab, ipykernel, jupyterhub.singleuser; assert os.getuid() == %d; assert os.path.isdir("/homes")'.freeze

  def probe
    result = shell_out('docker', 'run', '--rm', '--network', 'none', '--user', "#{new_resource.uid}:#{new_resource.uid}",
                       '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--memory', "#{new_resource.memory_mb}m",
                       '--volume', "#{new_resource.homes}:/homes:ro", '--entrypoint', 'python3', new_resource.reference,
                       '-c', format(PROBE, new_resource.uid), timeout: new_resource.timeout_s)
    raise "#{new_resource.reference} does not run on this node, which therefore takes no students: #{result.stderr.strip}" if result.error?
  end

  def keep(id)
    directory new_resource.stamp_dir do
      owner 'root'
      group 'root'
      mode '0755'
      recursive true
    end

    file new_resource.stamp do
      content "#{id}\n"
      owner 'root'
      group 'root'
      mode '0644'
    end
  end
end
