#!/bin/bash
# Tries the Debian package as an administrator would: builds it, installs it in a clean Debian, starts the daemon as its unit
# would, takes the first steps of docs/install.md against the sandbox, upgrades, removes, purges. Needs root; everything
# happens in a root file system of its own, in a network of its own, and is gone at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
clean=$here/target/package-root.tar
deb=(target/deb/vppd_*.deb)

say() { printf '\n== %s\n' "$*"; }
die() { printf 'tests/package.sh: %s\n' "$*" >&2; exit 1; }

if [ "${1:-}" != inside ]; then
    [ "$(id -u)" -eq 0 ] || die "must run as root (chroot, namespaces)"

    say "Build two versions of the package"
    VPPD_DEB_VERSION=0.0.1~old ./debian/build
    rm -rf target/package-old && mv target/deb target/package-old
    ./debian/build
    deb=(target/deb/vppd_*.deb)
    size=$(stat -c %s "${deb[0]}")
    [ "$size" -lt 10000000 ] || die "the package has $size bytes"
    lintian --fail-on error,warning --allow-root target/deb/*.changes

    if [ ! -e "$clean" ]; then
        say "Make a clean Debian"
        root=$(mktemp -d)
        trap 'rm -rf "$root"' EXIT
        suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
        debootstrap --variant=minbase --include=adduser,ca-certificates,tzdata,systemd "$suite" "$root" "$mirror" >"$root.log" ||
            die "debootstrap failed, see $root.log"
        rm -f "$root.log"
        tar -C "$root" --exclude=./var/cache/apt/archives/*.deb -cf "$clean" .
        rm -rf "$root"
        trap - EXIT
    fi
    cargo build --quiet --locked --workspace --bins
    # Whatever is mounted or started inside goes when the namespaces go.
    exec unshare --mount --net --pid --fork --kill-child "$here/tests/package.sh" inside
fi

root=$(mktemp -d)
trap 'set +e; kill $(jobs -p) 2>/dev/null; umount -l "$root/proc" 2>/dev/null; rm -rf "$root"' EXIT
ip link set lo up
tar -C "$root" -xf "$clean"
chmod 755 "$root"
echo 'APT::Get::Assume-Yes "true";' >"$root/etc/apt/apt.conf.d/yes"
mount -t proc proc "$root/proc"
mount -t proc proc /proc

in_root() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
in_docs() { grep -qxF -- "$1" <(sed 's/^ *//' docs/install.md) || die "docs/install.md has no line: $1"; }
# Runs a command that docs/install.md has, just as it stands there.
documented() {
    in_docs "$1"
    printf '# %s\n' "$1"
    in_root sh -ec "cd /root; $1"
}
has() { grep -qF -- "$2" "$1" || { cat "$1" >&2; die "$1 lacks: $2"; }; }
# Waits until a command succeeds.
wait_for() {
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    cat "$root"/run/{stderr,journal} >&2 || :
    die "waited in vain: $*"
}

state=$root/var/lib/vppd
notices=$root/run/notices
journal=$root/run/journal
group() { in_root getent group "$1" | cut -d: -f3; }

# The daemon as its unit starts it: user, groups, no capabilities, socket, notify socket, watchdog; $1: credentials.
start() {
    rm -f "$notices" "$journal" "$root/run/notify" "$root/run/systemd/journal/socket"
    mkdir -p "$root/run/systemd/journal"
    in_root install -d -o vppd /run/vppd
    # What is said to systemd and to the journal ends up in files.
    socat -u "UNIX-RECV:$root/run/notify,mode=0666" "CREATE:$notices" &
    listeners=($!)
    socat -u "UNIX-RECV:$root/run/systemd/journal/socket,mode=0666" "CREATE:$journal" &
    listeners+=($!)
    wait_for test -S "$root/run/notify"
    wait_for test -S "$root/run/systemd/journal/socket"
    chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin systemd-socket-activate --listen=443 \
        --setenv=NOTIFY_SOCKET=/run/notify --setenv=WATCHDOG_USEC=2000000 --setenv=CREDENTIALS_DIRECTORY="$1" \
        setpriv --reuid=vppd --regid=vppd --groups="$(group vppd-admin)" --bounding-set=-all --no-new-privs \
        sh -c 'umask 0077; exec /usr/sbin/vppd run' 2>>"$root/run/stderr" &
    daemon=$!
    # The first connection starts it.
    wait_for timeout 1 bash -c 'exec 3<>/dev/tcp/127.0.0.1/443'
    wait_for grep -q READY=1 "$notices"
    has "$journal" 'which systemd listens on for vppd'
}

stop() {
    code=0
    kill -TERM "$daemon"
    wait "$daemon" || code=$?
    [ "$code" -eq 0 ] || die "the daemon ended with $code: $(cat "$root/run/stderr")"
    has "$notices" STOPPING=1
    kill "${listeners[@]}"
    wait "${listeners[@]}" || :
}

say "Install"
mv target/package-old/vppd_*.deb "$root/root/"
rm -rf target/package-old
documented 'apt-get install ./vppd_*.deb'
in_root id vppd
group vppd-admin
[ -z "$(ls "$root"/etc/systemd/system/*/vppd.* 2>/dev/null)" ] || die "the unit is enabled before it is set up"
[ "$(stat -c '%U %a' "$root/etc/vppd/vppd.toml")" = "root 644" ] || die "owner and mode of vppd.toml"
[ "$(in_root stat -c '%U %a' /var/lib/vppd)" = "vppd 700" ] || die "owner and mode of the state directory"
in_root test -e /usr/share/bash-completion/completions/vppd
in_root test -e /usr/share/zsh/vendor-completions/_vppd
in_root test -e /usr/share/fish/vendor_completions.d/vppd.fish
code=0; in_root vppd run 2>"$root/run/refused" || code=$?
[ "$code" -eq 78 ] || die "settings that lack the address end with $code"
has "$root/run/refused" '[devices] url is missing'
in_root adduser --quiet --disabled-password --gecos '' alice
documented 'adduser alice vppd-admin'

say "Unit files and manual pages"
in_root systemd-analyze verify --man=no /lib/systemd/system/vppd.service /lib/systemd/system/vppd.socket
systemd-analyze security --offline=true --no-pager --threshold=15 "$root/lib/systemd/system/vppd.service" | tail -n 1
for page in "$root"/usr/share/man/man[58]/vppd*.gz; do
    zcat "$page" | mandoc -T lint -W warning || die "$page"
done
for page in $(in_root vppd --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | grep -v help); do
    [ -e "$root/usr/share/man/man8/vppd-$page.8.gz" ] || die "no page for vppd $page"
done

say "First steps, against the sandbox"
cat >"$root/run/scenario.toml" <<END
[[locations]]
location = { name = "Leeds" }
assets = [{ adam-id = "361309726", total = 5, name = "Pages" }]
END
target/debug/vppd-sandbox run --directory "$root/root/sandbox" --scenario "$root/run/scenario.toml" >"$root/run/sandbox" &
wait_for grep -q 'content token' "$root/run/sandbox"
cp "$root/root/sandbox/"*.vpptoken "$root/root/leeds.vpptoken"
read -r _ _ push <<<"$(grep '^push certificate' "$root/run/sandbox")"
read -r _ _ key <<<"$(grep '^push key' "$root/run/sandbox")"
cp "$push" "$root/root/push.pem"
cp "$key" "$root/root/push.key"
cp "$(awk '/^root certificate/ { print $3 }' "$root/run/sandbox")" "$root/etc/vppd/sandbox-ca.pem"
chmod 644 "$root/etc/vppd/sandbox-ca.pem"
documented 'install -g vppd -m 640 push.pem /etc/vppd/apns-certificate.pem'
documented 'install -g vppd -m 640 push.key /etc/vppd/apns-key.pem'
cat >"$root/etc/vppd/vppd.toml" <<END
[devices]
url = "https://localhost"
[apple]
base-url = "$(awk '/^Apps and Books/ { print $4 }' "$root/run/sandbox")"
extra-ca = "/etc/vppd/sandbox-ca.pem"
[apns]
base-url = "$(awk '/^APNs/ { print $2 }' "$root/run/sandbox")"
extra-ca = "/etc/vppd/sandbox-ca.pem"
certificate = "/etc/vppd/apns-certificate.pem"
key = "/etc/vppd/apns-key.pem"
[log]
target = "journal"
END
documented 'vppd check'
# There is no systemd to start anything (--now): the script does it.
in_docs 'systemctl enable --now vppd.socket vppd.service'
in_root systemctl enable vppd.socket vppd.service
in_root systemctl is-enabled vppd.socket vppd.service
start /nonexistent
wait_for grep -q WATCHDOG=1 "$notices"
[ "$(in_root stat -c '%G %a' /run/vppd/control.sock)" = "vppd-admin 660" ] || die "owner and mode of the control socket"
documented 'vppd status'
documented 'vppd token add leeds.vpptoken --name Leeds'
documented 'vppd app list'
documented 'vppd enrol profile --output enrol.mobileconfig'
documented 'vppd device list'
documented 'vppd deploy add --app 361309726 --to all-devices --purpose required'
documented 'vppd plan'
documented 'vppd app show 361309726'
in_root setpriv --reuid alice --regid alice --init-groups vppd status >/dev/null
if in_root setpriv --reuid nobody --clear-groups vppd status 2>"$root/run/refused"; then die "anybody may use the control socket"; fi
has "$root/run/refused" 'become a member of the group vppd-admin'
has "$journal" VPPD_LOCATION
has "$journal" 'content token for location "Leeds" was added by root'
has docs/install.md 'journalctl VPPD_LOCATION=Leeds'

say "Reload"
sed -i 's/^target = .*/&\nlevel = "debug"/' "$root/etc/vppd/vppd.toml"
kill -HUP "$daemon"
wait_for grep -q RELOADING=1 "$notices"
wait_for grep -q 'settings and certificates were read anew' "$journal"

say "The master key as a credential"
stop
mkdir "$root/run/credentials"
mv "$state/master.key" "$root/run/credentials/vppd.master-key"
chroot "$root" chown -R vppd: /run/credentials
start /run/credentials
in_root vppd token list
[ ! -e "$state/master.key" ] || die "a second master key was made"
stop
mv "$root/run/credentials/vppd.master-key" "$state/master.key"

say "Upgrade"
rm "$root"/root/vppd_*.deb
cp "${deb[0]}" "$root/root/"
documented 'apt-get install ./vppd_*.deb'
has "$root/etc/vppd/vppd.toml" 'https://localhost'
start /nonexistent
[[ $(in_root vppd token list) == *Leeds* ]] || die "the upgrade has lost the content token"
in_root vppd status
stop

say "Downgrade is refused"
sqlite3 "$state/vppd.db" 'PRAGMA user_version = 9999'
in_root chown -R vppd: /var/lib/vppd
sed -i '/^target/d' "$root/etc/vppd/vppd.toml"
code=0; in_root setpriv --reuid=vppd --regid=vppd --clear-groups vppd run 2>"$root/run/refused" || code=$?
[ "$code" -eq 65 ] || die "a database of a newer vppd ends with $code: $(cat "$root/run/refused")"
has "$root/run/refused" 'newer vppd'

say "Remove, then purge"
documented 'apt-get remove vppd'
[ -e "$root/etc/vppd/vppd.toml" ] && [ -e "$state/vppd.db" ] || die "remove has taken settings or state away"
[ ! -e "$root/usr/sbin/vppd" ] || die "the program is still there"
rm "$root"/etc/vppd/*.pem
documented 'apt-get purge vppd'
left=$(in_root find /etc /var /usr /run -xdev -name '*vppd*' -not -path '/run/*' -not -path '/var/log/*' -not -path '/var/cache/*')
[ -z "$left" ] || die "purge has left: $left"
in_root getent passwd vppd

say "The package works: ${deb[0]}, $(stat -c %s "${deb[0]}") bytes, $(dpkg-deb --fsys-tarfile "${deb[0]}" | tar -xO ./usr/sbin/vppd | wc -c) bytes installed program"
