module DockerEngine
  # Decisions about images, apart from the engine that carries them out.
  module Images
    # A registry that answers and does not have it: another try gives the same answer.
    ABSENT = /manifest unknown|manifest for .* not found|: not found|repository .* not found|name unknown/i

    module_function

    def absent?(stderr)
      ABSENT.match?(stderr)
    end

    # "registry.example:443/a/b:tag" -> ["registry.example:443/a/b", "tag"]
    def split(reference)
      name, _, tag = reference.rpartition(':')
      raise ArgumentError, "image reference '#{reference}' has no tag" if name.empty? || tag.include?('/')

      [name, tag]
    end

    # References of the same repository as `keep` that no container, running or not, was made from.
    # images: GET /images/json, containers: GET /containers/json?all=1
    def prunable(images, containers, keep)
      repository, = split(keep)
      used = containers.map { |container| container['ImageID'] }
      images.reject { |image| used.include?(image['Id']) }
            .flat_map { |image| Array(image['RepoTags']) }
            .select { |reference| reference != keep && split(reference).first == repository }
            .sort
    end
  end
end
