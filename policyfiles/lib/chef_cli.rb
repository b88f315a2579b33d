# frozen_string_literal: true

# chef-cli as `bin/chef` runs it: `push` and `export` write the lock anew, and do it without loading a
# Policyfile, so what keeps the git checkout out of locks is loaded here.
require_relative 'lock_without_scm'

load Gem.bin_path('chef-cli', 'chef-cli')
