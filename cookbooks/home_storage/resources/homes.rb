provides :home_storage
resource_name :home_storage
unified_mode true

description 'The directory that holds all homes, the same on hub and workers. Raises where it is not a mount: homes on a single node would be lost with it.'

property :path, String,
         name_property: true,
         regex: %r{\A/[^/].*\z},
         description: 'The directory.'

property :type, String,
         equal_to: %w(bind nfs4 efs),
         required: true,
         description: 'bind: somebody else has mounted it; nfs4: mount it from a file server; efs: mount it from EFS, by TLS and role.'

property :server, String,
         default: '',
         description: 'Name of the file server, for nfs4; id of the file system, for efs.'

property :access_point, String,
         default: '',
         description: 'Id of the access point, for efs.'

property :export, String,
         default: '/',
         description: 'What it exports.'

property :options, String,
         default: 'nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport',
         description: 'Mount options; the default is what AWS recommends for EFS.'

action :create, description: 'Mount where that is asked for, check that it is a mount, set owner and mode.' do
  case new_resource.type
  when 'nfs4' then mount_from_server
  when 'efs' then mount_from_efs
  end

  mounted = HomeStorage::Mounts.type_at(new_resource.path)
  unless mounted
    raise "#{new_resource.path} is not a mount point: with storage.type bind it must be mounted before chef-client runs " \
          '(a local fleet mounts the deployment\'s homes there)'
  end
  # A disk of the machine's own would take the files, and lose them with the machine.
  if new_resource.type != 'bind' && mounted != 'nfs4'
    raise "#{new_resource.path} is a mount of #{mounted}, not of the file server: unmount it (umount #{new_resource.path}) and converge again"
  end

  # Students own their directories in it and must not list the others'.
  directory new_resource.path do
    owner 'root'
    group 'root'
    mode '0711'
  end
end

action_class do
  def mount_from_server
    raise 'storage.type nfs4 needs storage.nfs.server' if new_resource.server.empty?

    mount_by_unit(What: "#{new_resource.server}:#{new_resource.export}", Type: 'nfs4', Options: new_resource.options)
  end

  def mount_from_efs
    raise "an access point is mounted at its root: storage.nfs.export must be /, not #{new_resource.export}" unless new_resource.export == '/'
    unless HomeStorage::Efs.helper?
      raise "#{HomeStorage::Efs::HELPER} is not there: this machine's image is older than the mount helper in it; make a new one (./invoke images.bake)"
    end

    options = HomeStorage::Efs.options(new_resource.options, new_resource.access_point)
    mount_by_unit(What: "#{new_resource.server}:/", Type: 'efs', Options: options)
  end

  def mount_by_unit(mount)
    unit = HomeStorage::Mounts.unit_name(new_resource.path)
    package 'nfs-common'

    directory new_resource.path do
      recursive true
      not_if { HomeStorage::Mounts.type_at(new_resource.path) }
    end

    systemd_unit unit do
      content(
        Unit: { Description: 'Homes of the students', Wants: 'network-online.target', After: 'network-online.target' },
        Mount: { **mount, Where: new_resource.path, Options: "#{mount[:Options]},_netdev" },
        Install: { WantedBy: 'remote-fs.target' }
      )
      action %i(create enable start)
    end

    # Otherwise the engine starts students' containers after a reboot on an empty directory.
    require_mount_for_engine
  end

  def require_mount_for_engine
    execute 'reload systemd for homes' do
      command %w(systemctl daemon-reload)
      action :nothing
    end

    directory '/etc/systemd/system/docker.service.d' do
      recursive true
    end

    file '/etc/systemd/system/docker.service.d/hubfleet-homes.conf' do
      content "[Unit]\nRequiresMountsFor=#{new_resource.path}\n"
      owner 'root'
      group 'root'
      mode '0644'
      notifies :run, 'execute[reload systemd for homes]', :immediately
    end
  end
end
