# frozen_string_literal: true

require 'chef-cli/cookbook_profiler/git'

# A lock holds nothing about the git checkout that it was made in: revision, branches and cleanness change
# with every commit, so a lock with them is never the same twice and `chef push` would leave it modified.
# The revision id does not depend on them.
module LockWithoutScm
  def profile_data
    nil
  end
end

ChefCLI::CookbookProfiler::Git.prepend(LockWithoutScm)
