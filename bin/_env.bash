# shellcheck shell=bash
# Sourced by the scripts beside it. Sets root, cache, gems and what Bundler needs; nothing of Bundler's is
# ever written into the checkout.

root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd -P)
cache=${HUBFLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hubfleet}
log=$root/.state/log/setup.log
gems=$cache/gems
# Makefiles of native extensions break on spaces and quotes: such a cache has its gems elsewhere.
if [[ $cache == *[!A-Za-z0-9._/+@-]* ]]; then gems=/var/tmp/hubfleet-gems-$EUID; fi

# Not on the PATH of an ordinary user on Debian: iptables, dockerd.
PATH=$PATH:/usr/sbin:/sbin

export BUNDLE_GEMFILE=$root/Gemfile
export BUNDLE_PATH=$gems
export BUNDLE_APP_CONFIG=$cache/bundle-config
export BUNDLE_FROZEN=true # the lock is what the project tested; no command may rewrite it
export BUNDLE_SILENCE_ROOT_WARNING=true
unset BUNDLE_CACHE_PATH BUNDLE_WITHOUT BUNDLE_ONLY BUNDLE_DEPLOYMENT

say() { printf '[set-up] %s\n' "$*" >&2; }

# Everything that ends a script here is a precondition to put right: exit code 3.
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  (($# == 0)) || printf '  %s\n' "$@" >&2
  exit 3
}

# step TITLE COMMAND...: one line on the screen, the output in the log; shows its end on failure.
step() {
  local title=$1 start=$SECONDS from
  shift
  mkdir -p -- "${log%/*}"
  printf '== %s: %s\n' "$(date '+%F %T')" "$title" >>"$log"
  from=$(wc -l <"$log")
  printf '[set-up] %s ... ' "$title" >&2
  # 9 is the set-up lock: a daemon that a package starts must not keep it.
  if "$@" >>"$log" 2>&1 </dev/null 9>&-; then
    printf 'ok %d s\n' $((SECONDS - start)) >&2
  else
    printf 'failed after %d s\n' $((SECONDS - start)) >&2
    tail -n "+$((from + 1))" -- "$log" | tail -n 15 | sed 's/^/    /' >&2
    return 1
  fi
}

# as_root COMMAND...: through sudo where this user is not root.
as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Whether as_root can work: with a terminal sudo may ask for the password, before any step's line.
may_be_root() {
  ((EUID == 0)) || { command -v sudo >/dev/null && { sudo -n true 2>/dev/null ||
    { [[ -t 0 && -t 2 ]] && sudo -v; }; }; }
}
