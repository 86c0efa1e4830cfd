# Debian packages that tests need; sourced. Needs nothing but bash and dpkg.

# missing_packages NAME…: those that are not installed, one a line.
missing_packages() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) == ii* ]] || echo "$package"
  done
}

# install_packages NAME…, as root. Tests start their own servers: Debian shall neither make a cluster nor start a service
# for these packages, now or at the next boot. (A subshell, so that its trap takes the prohibitions away again however it
# ends.) Prints what apt said when it fails.
install_packages() (
  policy=/usr/sbin/policy-rc.d
  no_cluster=/etc/postgresql-common/createcluster.d/pgq-test.conf
  log=$(mktemp)
  [[ -e $policy ]] && policy=$log
  trap 'rm -f "$policy" "$no_cluster" "$log"' EXIT
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod +x "$policy"
  mkdir -p "${no_cluster%/*}"
  echo 'create_main_cluster = false' > "$no_cluster"
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"; } > "$log" 2>&1; then
    cat "$log" >&2
    return 1
  fi
)
