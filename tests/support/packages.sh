# Packages: what tools/up and tools/check need from Debian, and how they get it.
#
# Sourced, never run. It touches the network only when a package is missing, so
# that a second run works offline. SC names the script that speaks.

# What a build needs, and to run what is built: tzdata has the time zones of schedules,
# ca-certificates those whom we trust to say who a server is.
build_packages="gcc libc6-dev meson ninja-build pkg-config liburing-dev libbearssl-dev
libc-ares-dev libinih-dev zlib1g-dev libzstd-dev libsqlite3-dev python3 tzdata ca-certificates"

say() { printf '%s: %s\n' "${SC:-weir}" "$*"; }
die() {
    printf '%s: error: %s\n' "${SC:-weir}" "$*" >&2
    exit 69
}

# Prints those of "$@" that are not installed.
missing_packages() {
    for package in "$@"; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=none
        [ "$status" = installed ] || printf '%s ' "$package"
    done
}

# Installs those of "$@" that are missing, or dies and names them.
ensure_packages() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        say "this is not a Debian system; please make sure that the equivalents of these exist:"
        say "  $*"
        return 0
    fi
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    say "installing: $missing"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 ||
            die "not root and no sudo; as root run: apt-get install $missing"
        as_root=sudo
    fi
    # A list that is out of date is no reason to stop: the install below decides.
    $as_root apt-get update -q >/dev/null 2>&1 || say "apt-get update failed; trying anyway"
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
        --no-install-recommends $missing >/dev/null </dev/null || true
    missing=$(missing_packages "$@")
    [ -z "$missing" ] || die "missing after apt-get install: $missing(is the network up?)"
}
