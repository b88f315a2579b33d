require 'json'

# The moments of a machine's birth, as POSIX seconds by phase.
module Birth
  module_function

  # What a file holds; empty where it is missing or broken.
  def read(file)
    found = JSON.parse(::File.read(file))
    found.is_a?(Hash) ? found : {}
  rescue Errno::ENOENT, JSON::ParserError
    {}
  end
end
