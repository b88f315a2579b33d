# shellcheck shell=bash
# Sourced by _ready where something is missing: finds what, and installs it.
# shellcheck disable=SC2154 # root, cache, gems, log, stamp, tools: from _ready and _env.bash

# Debian and Ubuntu packages. Alternatives, newest name first, are separated by |.
packages=(
  python3-venv                                # the virtual environment
  ruby ruby-dev ruby-bundler                  # the Chef toolchain
  gcc g++ make                                # gems with native extensions
  libyaml-dev libffi-dev zlib1g-dev           # their headers
  'libarchive13t64|libarchive13'              # loaded at run time by ffi-libarchive
  mmdebstrap                                  # root file system of the images
  iptables                                    # dockerd's rules
  skopeo                                      # images to the deployment's registry
  shellcheck                                  # ./invoke check
  git curl ca-certificates xz-utils openssl
)

set_up() {
  mkdir -p -- "$cache"
  take_lock
  # Another run may have done it all while this one waited.
  if ready; then return; fi
  install_packages
  install_python
  install_bundle
  printf '%s\n%s\n' "$venv" "$(readlink -f -- "$(command -v ruby)")" >"$stamp.new"
  mv -- "$stamp.new" "$stamp"
  exec 9>&-
}

# On a bare machine flock is there already: util-linux is essential on Debian and Ubuntu.
take_lock() {
  command -v flock >/dev/null || return 0
  exec 9>"$cache/setup.lock"
  flock -n 9 || {
    say "waiting for another set-up to end"
    flock 9
  }
}

os_field() { sed -n "s/^$1=//p" /etc/os-release | tr -d "\"'"; }

install_packages() {
  local missing
  if [[ " $(os_field ID) $(os_field ID_LIKE) " =~ \ (debian|ubuntu)\  ]]; then
    mapfile -t missing < <(missing_packages)
    if ((${#missing[@]} == 0)); then return; fi
    may_be_root || fail "packages are missing and this user can neither be root nor use sudo" \
      "ask an administrator to run: apt-get install ${missing[*]/|*/}"
    step "package lists" as_root apt-get -q update || say "going on with the lists that are here"
    mapfile -t missing < <(chosen_names "${missing[@]}")
    step "packages: ${missing[*]}" as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get -q -y --no-install-recommends install "${missing[@]}" ||
      fail "packages could not be installed" "the whole output is in $log"
  else
    report_other_os
  fi
}

# Prints the packages that are not installed, one query for all.
missing_packages() {
  local have entry
  have=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' "${packages[@]//|*/}" \
    "${packages[@]//*|/}" 2>/dev/null || true)"
  for entry in "${packages[@]}"; do
    [[ $have == *" installed:${entry%%|*} "* || $have == *" installed:${entry##*|} "* ]] ||
      printf '%s\n' "$entry"
  done
  # Docker may come from elsewhere, or run on another machine.
  if ! command -v docker >/dev/null; then
    printf '%s\n' docker.io 'docker-cli|docker.io'
  elif ! command -v dockerd >/dev/null && ! docker version >/dev/null 2>&1; then
    printf '%s\n' docker.io
  fi
}

# Prints the first of each entry's alternatives that the package lists know, each name once.
chosen_names() {
  local entry
  for entry in "$@"; do
    if [[ $entry == *'|'* && -z $(apt-cache show --no-all-versions "${entry%%|*}" 2>/dev/null) ]]; then
      entry=${entry##*|}
    fi
    printf '%s\n' "${entry%%|*}"
  done | sort -u
}

report_other_os() {
  local tool lacking=()
  for tool in "${tools[@]}"; do
    command -v "$tool" >/dev/null || lacking+=("$tool")
  done
  if ((${#lacking[@]} == 0)); then return; fi
  fail "$(os_field PRETTY_NAME) is neither Debian nor Ubuntu, where hubfleet installs by itself" \
    "programs to install: ${lacking[*]}" \
    "altogether hubfleet needs:" \
    "  Python 3.11 or later with venv" \
    "  Ruby 3.1 or later with its headers and Bundler; gcc, g++, make;" \
    "    headers of libyaml, libffi and zlib; the library libarchive" \
    "  a Docker engine and the docker command, iptables" \
    "  mmdebstrap, skopeo, ShellCheck, git, curl, CA certificates, xz, OpenSSL, flock" \
    "then run ./invoke again"
}

# The distribution's Python first: it stays, while version managers come and go.
install_python() {
  local python version
  for python in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11 ''; do
    [[ -n $python ]] || fail "no Python 3.11 or later is installed" \
      "Debian 12, Ubuntu 24.04 and later bring one"
    version=$("$python" -c 'import sys; assert sys.version_info >= (3, 11); print(sys.version)' \
      2>/dev/null) && break
  done
  key=$({ printf '%s' "$python $version"; cat -- "$root/requirements/operator.txt"; } | sha256sum)
  venv=$cache/venv-${key:0:16}
  if [[ -e $venv/.complete && -x $venv/bin/python ]]; then return; fi
  step "virtual environment (Python ${version%% *})" "$python" -m venv --clear -- "$venv" ||
    fail "no virtual environment could be made in $venv" "the whole output is in $log"
  # The lock is complete, and leaves out on purpose what pyproject.toml excludes: hence --no-deps.
  step "Python packages" "$venv/bin/python" -m pip install --disable-pip-version-check \
    --no-input --progress-bar off --no-deps --require-hashes -r "$root/requirements/operator.txt" ||
    fail "Python packages could not be installed" "the whole output is in $log"
  : >"$venv/.complete"
}

install_bundle() {
  local folder source
  ruby -e 'exit RUBY_VERSION.to_f >= 3.1' || fail "Ruby 3.1 or later is needed, this is $(ruby -v)"
  [[ -d $gems ]] || mkdir -m 700 -- "$gems"
  [[ -O $gems ]] || fail "$gems belongs to another user" "remove it, or set HUBFLEET_CACHE"
  if bundle check >/dev/null 2>&1; then return; fi
  folder=${HUBFLEET_GEMS:-$root/../shared/gems}
  source=$(sed -n "s/^source ['\"]\(.*\)['\"].*/\1/p" "$root/Gemfile")
  # A probe first: Bundler alone takes minutes to give up. Without a folder there is no other way,
  # and a mirror from the user's own Bundler configuration may still answer.
  if curl -fsI --max-time 5 -o /dev/null -- "$source/versions" || [[ ! -d $folder ]]; then
    if step "Ruby gems" bundle install --jobs 4; then return; fi
  fi
  [[ -d $folder ]] || fail "Ruby gems could not be installed from $source" \
    "the whole output is in $log" \
    "without access, put the gems of Gemfile.lock in a folder and name it: HUBFLEET_GEMS=FOLDER"
  step "Ruby gems from ${folder##*/}" gems_from "$folder" ||
    fail "Ruby gems could not be installed from $folder" "the whole output is in $log"
}

# Bundler believes that a cache_path is its own and removes what the lock does not name. It is
# therefore shown a throw-away directory of links, never the folder.
gems_from() {
  local folder links code=0
  folder=$(cd -- "$1" && pwd -P)
  links=$(mktemp -d -- "$cache/gem-links.XXXXXX")
  ln -s -- "$folder"/*.gem "$links/"
  BUNDLE_CACHE_PATH=$links bundle install --local --jobs 4 || code=$?
  rm -rf -- "$links"
  return "$code"
}
