module HomeStorage
  # Mount points of this node and the unit names systemd gives them.
  module Mounts
    TABLE = '/proc/self/mountinfo'.freeze
    OCTAL = /\\([0-7]{3})/

    module_function

    # Type of the file system mounted exactly at path, nil when path is no mount point. The last line
    # wins: it lies on top. Field 5 is the mount point, the type follows the lone dash (proc(5)).
    def type_at(path, table = File.read(TABLE))
      line = table.lines.reverse.find { |item| unescape(item.split(' ')[4].to_s) == path.chomp('/') }
      line && line[/ - (\S+) /, 1]
    end

    # "/srv/homes" -> "srv-homes.mount" as `systemd-escape --path --suffix=mount` does.
    def unit_name(path)
      escaped = path.delete_prefix('/').chomp('/').each_char.map do |char|
        if char == '/' then '-'
        elsif char.match?(/[A-Za-z0-9:_.]/) then char
        else char.bytes.map { |byte| format('\\x%02x', byte) }.join
        end
      end
      "#{escaped.join}.mount"
    end

    def unescape(field)
      field.gsub(OCTAL) { Regexp.last_match(1).to_i(8).chr }
    end
  end
end
