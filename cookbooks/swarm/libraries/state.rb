module Swarm
  # What cannot be repaired by doing the same thing again; says what to do instead.
  class Error < StandardError; end

  # This engine's membership as /info reports it, read once and not changed.
  class State
    attr_reader :local, :node_id, :node_addr, :manager_addrs, :cluster, :error

    def initialize(document)
      @local = document['LocalNodeState'].to_s
      @node_id = document['NodeID'].to_s
      @node_addr = document['NodeAddr'].to_s
      @manager = document['ControlAvailable'] == true
      @manager_addrs = Array(document['RemoteManagers']).map { |item| item['Addr'] }
      @cluster = document['Cluster'].to_h
      @error = document['Error'].to_s
    end

    def inactive?
      local == 'inactive'
    end

    def active?
      local == 'active'
    end

    def pending?
      local == 'pending'
    end

    def manager?
      @manager
    end

    # Raises with the remedy where neither "join" nor "nothing to do" would be right.
    def reject_unusable!
      case local
      when 'locked'
        raise Error, 'this engine holds a locked swarm: run `docker swarm unlock` with the key of its manager'
      when 'error'
        raise Error, "swarm mode of this engine has failed (#{error}): see `journalctl -u docker`, then `docker swarm leave --force`"
      when 'pending'
        raise Error, "this engine has been joining a swarm for too long (#{error}): is a manager reachable? else `docker swarm leave --force`"
      when 'active'
        # A `docker swarm leave` that ran into its time limit leaves this behind.
        raise Error, 'this engine has left its swarm half way: run `docker swarm leave --force` once more' if node_id.empty?
      end
    end
  end
end
