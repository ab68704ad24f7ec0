# shellcheck shell=bash
# What the scripts set up on a fresh Debian before they do their own work; sourced by them, in the repository's root.
# Everything lands in this folder (.venv*, .cache) but for Debian's packages: those are named before they are installed.

say() { printf '\n== %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        DEBIAN_FRONTEND=noninteractive "$@"
    elif command -v sudo >/dev/null; then
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    else
        echo "This needs root, and there is no sudo here. As root, run: $*" >&2
        return 1
    fi
}

# apt_install WHY PACKAGE...: does nothing, not even an apt-get update, when all of them are there.
apt_install() {
    local why=$1 package missing=()
    shift
    for package; do
        [ "$(dpkg-query -Wf '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ -n "${without_apt-}" ]; then
        echo "${missing[*]} is missing ($why): install it, or run this without --quick" >&2
        return 1
    fi
    say "Installing with apt, as root: ${missing[*]} ($why)"
    as_root apt-get update -qq
    as_root apt-get install -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null
}

# make_venv FOLDER "PYTHON -m venv OPTION..." PIP-ARGUMENT...: makes it anew when something it is made from has changed.
make_venv() {
    local folder=$1 create made_for
    read -ra create <<<"$2"
    shift 2
    # A virtual environment does not survive that its folder is moved, nor another Python.
    made_for=$({ echo "$PWD" "${create[@]}" "$@" && "${create[0]}" --version && cat setup.cfg pyproject.toml; } | sha256sum)
    [ "$(cat "$folder/made-for" 2>/dev/null)" != "$made_for" ] || return 0
    "${create[0]}" -c 'import ensurepip' 2>/dev/null || apt_install 'it makes virtual environments' python3-venv
    say "Making $folder"
    "${create[@]}" --clear "$folder"
    "$folder/bin/pip" install -qq --disable-pip-version-check "$@"
    echo "$made_for" >"$folder/made-for"
}

# find_servers PACKAGE...: Debian's packages of Prometheus and its kind start services that stay. Unpacked here, nothing is
# installed.
find_servers() {
    local package
    export PATH=$PATH:$PWD/.cache/debian/usr/bin
    ! type -P promtool "$@" >/dev/null || return 0
    say "Downloading $* from Debian into .cache (nothing is installed)"
    rm -rf .cache/debian .cache/unpacking
    mkdir -p .cache/unpacking
    download_servers "$@" 2>/dev/null || {
        say 'Updating the package lists of apt, as root: they are missing or too old'
        as_root apt-get update -qq
        download_servers "$@"
    }
    for package in .cache/unpacking/*.deb; do
        dpkg-deb -x "$package" .cache/unpacking
    done
    rm .cache/unpacking/*.deb
    mv .cache/unpacking .cache/debian
}

# Packages of their own: the JavaScript and the fonts of their web pages, and since Debian 13 promtool.
download_servers() (
    mapfile -t more < <(apt-cache depends --recurse --important "$@" | grep -xE 'promtool|libjs-.*|fonts-.*')
    cd .cache/unpacking || return
    apt-get download -qq -o APT::Sandbox::User=root "$@" "${more[@]}"
)

# Debian's is compiled with all optimizations, which others often are not: the tests take a fifth less of the processor.
fast_python() {
    if /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo /usr/bin/python3
    else
        echo python3
    fi
}

# Editable, so that what a developer runs in it is what is in the editor.
make_developer_venv() {
    make_venv .venv "$(fast_python) -m venv" -e '.[test,check,ansible,grafana]'
}
