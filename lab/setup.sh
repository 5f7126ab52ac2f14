#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Installs what building and booting need, and says how to build for the bare-metal target (setup/toolchain.toml in the
# target folder).
#
# Silent and quick when nothing is missing. Packages are installed by the system's own package manager where that needs
# no password; otherwise the command that installs them is printed.
set -eu
cd "$(dirname "$0")/.."

target=aarch64-unknown-none-softfloat
# The oldest QEMU whose `virt` machine has what the chain uses.
qemu_oldest=7.2

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND...: runs it if that needs no password, else names it and stops.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif have sudo && sudo -n true 2>/dev/null; then sudo -n "$@"
    else die "please run: sudo $*"
    fi
}

apt_updated=
apt() {
    say "installing $*"
    if [ -z "$apt_updated" ]; then
        as_root apt-get update -qq >&2 || say "apt-get update failed; going on with the lists there are"
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >&2
}

# install COMMAND APT-PACKAGE BREW-PACKAGE DNF-PACKAGE NIX-PACKAGE PACMAN-PACKAGE: makes COMMAND available.
install() {
    have "$1" && return
    if have apt-get; then apt "$2"
    elif have brew; then say "installing $3"; brew install --quiet "$3" >&2
    elif have dnf; then say "installing $4"; as_root dnf install -q -y "$4" >&2
    elif have pacman; then say "installing $6"; as_root pacman -S --noconfirm --needed "$6" >&2
    elif have nix-shell; then die "please run make inside: nix-shell -p rustup gcc gnumake $5"
    else die "please install a package that has the command $1"
    fi
    have "$1" || die "$1 is still missing after its package was installed"
}

install cc gcc gcc gcc gcc gcc
have cargo || die "please install Rust: https://rustup.rs"
install qemu-system-aarch64 qemu-system-arm qemu qemu-system-aarch64-core qemu qemu-system-aarch64

# In the checkout, whatever CARGO_TARGET_DIR says, unless the checkout can only be read: as lab/run/src/workspace.rs.
kept=target
if ! { mkdir -p target && [ -w target ]; } 2>/dev/null; then
    kept=${CARGO_TARGET_DIR:-}
    [ -n "$kept" ] || die "$PWD can only be read; set CARGO_TARGET_DIR to a folder that can be written"
fi
mkdir -p "$kept/setup"
state=$kept/setup/toolchain.toml
# Nothing below needs to be asked again while compiler and QEMU are the same.
fingerprint="$(rustc -vV; qemu-system-aarch64 --version | head -n 1; cat "$0")"
if [ -f "$state" ] && [ -f "$kept/setup/fingerprint" ] && [ "$(cat "$kept/setup/fingerprint")" = "$fingerprint" ]; then
    exit 0
fi

qemu_version=$(qemu-system-aarch64 --version | sed -n 's/.*version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
older=$(printf '%s\n%s\n' "$qemu_oldest" "$qemu_version" | sort -t. -k1,1n -k2,2n | head -n 1)
if [ "$older" != "$qemu_oldest" ]; then
    die "QEMU $qemu_version is too old; $qemu_oldest or newer is needed"
fi

# has_target: whether the active compiler can build for the target.
has_target() { [ -n "$(ls "$(rustc --print target-libdir --target "$target" 2>/dev/null)" 2>/dev/null)" ]; }

# from_source: the distribution's compiler with its library's source, which builds `core` and `alloc` once. The linker
# is the active toolchain's, or the distribution's.
from_source() {
    have apt-get || return 1
    for pair in /usr/bin/rustc:rustc-web /usr/bin/cargo:cargo-web /usr/lib/rustlib/src/rust:rust-web-src \
        /usr/bin/clippy-driver:rust-web-clippy; do
        [ -e "${pair%%:*}" ] || missing="${missing:-} ${pair#*:}"
    done
    # shellcheck disable=SC2086 # A list of packages.
    [ -z "${missing:-}" ] || apt $missing
    linker=$(find "$(rustc --print sysroot)/lib/rustlib" -name rust-lld -type f 2>/dev/null | head -n 1)
    if [ -z "$linker" ]; then
        [ -x /usr/bin/ld.lld-19 ] || apt lld-19
        linker=/usr/bin/ld.lld-19
    fi
    cat > "$state" <<TOML
# Written by setup: the active toolchain lacks $target, so the distribution's builds the library from source.
# RUSTC_BOOTSTRAP is for -Z build-std alone; the project's own code is stable Rust.
cargo = "/usr/bin/cargo"
args = ["-Z", "build-std=core,alloc"]

[env]
PATH = "/usr/bin:$PATH"
RUSTC = "/usr/bin/rustc"
RUSTC_BOOTSTRAP = "1"
CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_LINKER = "$linker"
TOML
}

if ! has_target && have rustup; then
    say "adding the Rust target $target"
    rustup --quiet target add "$target" >&2 || say "rustup could not"
fi
if has_target; then
    printf '# Written by setup: the active toolchain has the target.\ncargo = "cargo"\n' > "$state"
elif ! from_source; then
    die "the Rust toolchain has no target $target; please run: rustup target add $target"
fi

# Everything that the workspace is built of, so that later builds need no network.
cargo fetch --locked --quiet

printf '%s' "$fingerprint" > "$kept/setup/fingerprint"
