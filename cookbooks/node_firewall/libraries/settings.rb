module NodeFirewall
  SCRIPT = '/usr/local/sbin/hubfleet-firewall'.freeze
  CONF = '/etc/hubfleet/firewall.conf'.freeze
  # What the script keeps about the node's own rules.
  APPLIED = '/run/hubfleet-firewall/node4.rules'.freeze

  # What the script is told; read by bash, so values are checked before they come here.
  module Settings
    module_function

    def render(side:, interface:, api_port:, proxy_port:, egress:, overlay_guard:)
      <<~CONF
        # Owned by Chef (cookbook node_firewall): changes made here are lost.
        SIDE=#{side}
        INTERFACE=#{interface}
        API_PORT=#{api_port}
        PROXY_PORT=#{proxy_port}
        EGRESS=#{egress}
        OVERLAY_GUARD=#{overlay_guard}
      CONF
    end
  end

  # The units that put the rules in place, and back in place.
  module Units
    # Before and required by the engine: it runs no container without the rules. Restarted with it.
    FIREWALL = {
      Unit: {
        Description: "Isolation of students' containers",
        Wants: 'network-online.target',
        After: 'network-online.target',
        Before: 'docker.service',
        PartOf: 'docker.service',
      },
      Service: { Type: 'oneshot', RemainAfterExit: 'yes', ExecStart: "#{SCRIPT} apply" },
      Install: { RequiredBy: 'docker.service' },
    }.freeze

    # An overlay's namespace comes with its first task and takes its rules with it when it goes.
    GUARD = {
      Unit: { Description: "Isolation of students' overlay networks", After: 'docker.service', StartLimitIntervalSec: '0' },
      Service: { Type: 'oneshot', ExecStart: "#{SCRIPT} repair", LogLevelMax: 'notice' },
    }.freeze

    GUARD_PATH = {
      Unit: { Description: 'A network namespace of the engine has come or gone', StartLimitIntervalSec: '0' },
      Path: { PathChanged: '/run/docker/netns', TriggerLimitIntervalSec: '0' },
      Install: { WantedBy: 'multi-user.target' },
    }.freeze

    GUARD_TIMER = {
      Unit: { Description: "Look at the isolation of students' containers every half minute" },
      Timer: { OnActiveSec: '5s', OnUnitInactiveSec: '30s', AccuracySec: '1s' },
      Install: { WantedBy: 'timers.target' },
    }.freeze
  end
end
