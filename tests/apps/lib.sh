# shellcheck shell=bash
# Sourced by the scripts in this folder, each of which runs one real program on a Varve mount.
#
#   #!/usr/bin/env bash
#   set -Eeuo pipefail
#   # shellcheck source=tests/apps/lib.sh
#   . "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
#   begin git "init, commit, clone, gc and fsck" "$@"
#   need git
#   mount_fresh
#   ...                    # ordinary commands below $mnt; die "why" at the first wrong thing
#   finish                 # unmounts, has fsck look, says PASS
#
# A script ends with one of three lines and exit codes: PASS NAME (0), FAIL NAME: WHY (1),
# SKIP NAME: WHY (77, which says something about the machine and nothing about Varve).

apps=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -P -- "$apps/../.." && pwd)
varve=${VARVE_BINARY:-$root/build/varve}
readonly apps root varve
readonly skip_status=77

app=        # the script's name
mode=quick  # or long
keep=0      # whether the folder is left for a look
work=       # our folder: disks, mountpoint, log, and what is compared with
mnt=        # the mountpoint
disks=()
mount_options= # for the mounts to come, separated by commas
daemon=     # the process id of the daemon while one runs
last_act=   # a command for the end, however the script ends: ending what is no child of ours
trouble=    # why the script fails
left_out=() # what this machine could not run

# ---- telling ------------------------------------------------------------------------------------

say() { echo "    $*"; }

step() { echo "== [${SECONDS}s] $*"; }

die() {
  trouble=$*
  exit 1
}

# skip WHY: this machine cannot run the script at all.
skip() {
  echo "SKIP $app: $*"
  exit "$skip_status"
}

# leave_out WHAT: this machine cannot run a part of the script.
leave_out() {
  say "left out: $*"
  left_out+=("$*")
}

long() { [[ $mode == long ]]; }

# ---- beginning and ending -----------------------------------------------------------------------

# begin NAME WHAT-IT-DOES "$@"
begin() {
  app=$1
  local what=$2
  shift 2
  while (($#)); do
    case $1 in
      --quick | --long) mode=${1#--} ;;
      --keep) keep=1 ;;
      -h | --help)
        cat <<USAGE
usage: tests/apps/$app [--quick | --long] [--keep]
Runs on a fresh Varve volume of 4+2 disks: $what.
  --quick  small amounts (the default)
  --long   large ones
  --keep   leave the folder with the disks and the daemon's log
  VARVE_APPS_DIR  where to work (default /var/tmp)
  VARVE_BINARY    the program to test (default build/varve)
USAGE
        exit 0
        ;;
      *)
        echo "$app: '$1' is not understood; see --help" >&2
        exit 2
        ;;
    esac
    shift
  done
  [[ -x $varve ]] || { echo "$app: $varve is not there; run scripts/build" >&2; exit 2; }
  trap 'trouble=${trouble:-"$(basename -- "${BASH_SOURCE[0]}") line $LINENO: $BASH_COMMAND"}' ERR
  trap clean_up EXIT
  trap 'trouble=interrupted; exit 130' INT TERM HUP
  { : <>/dev/fuse; } 2>/dev/null || skip "/dev/fuse cannot be opened"
  export LC_ALL=C.UTF-8
  work=$(mktemp -d -- "${VARVE_APPS_DIR:-/var/tmp}/varve-$app.XXXXXX")
  work=$(cd -P -- "$work" && pwd)
  chmod 755 -- "$work" # some programs run as another user
  mnt=$work/mnt
  disks=("$work"/disk{1..6})
  mkdir -- "$mnt"
  step "$app ($mode) in $work"
}

# need PROGRAM...: what scripts/setup --test or --long installs.
need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || skip "$program is not installed; scripts/setup --long does"
  done
}

need_root() { ((EUID == 0)) || skip "only root can run it"; }

need_free_mib() {
  local free
  free=$(($(df -Pk -- "$work" | awk 'NR == 2 { print $4 }') / 1024))
  ((free >= $1)) || skip "$work has $free MiB free, and $1 are needed; set VARVE_APPS_DIR"
}

# Unmounts, looks at the volume, and ends the script well.
finish() {
  check_volume
  local more=
  if ((${#left_out[@]})); then
    more=$(printf '; %s' "${left_out[@]}")
    more=" (left out: ${more#; })"
  fi
  # The folder is taken away first: what cannot be taken away is a failure too.
  take_away
  trap - EXIT
  echo "PASS $app$more"
  exit 0
}

take_away() {
  cd /
  ((keep)) || rm -rf --one-file-system -- "$work"
}

clean_up() {
  local status=$?
  trap - EXIT ERR
  set +e
  cd /
  local job
  for job in $(jobs -p); do
    [[ $job == "$daemon" ]] || kill -KILL "$job" 2>/dev/null
  done
  ${last_act:+"$last_act"}
  end_daemon
  if ((status != 0 && status != skip_status)) && [[ $work ]]; then
    local log
    for log in "$work"/*.log; do
      [[ -s $log ]] || continue
      echo "---- the end of ${log##*/}"
      tail -n 25 -- "$log"
    done
    ((keep)) && echo "---- left in $work"
  fi
  if [[ $work ]]; then
    take_away
  fi
  if ((status != 0 && status != skip_status)); then
    echo "FAIL $app: ${trouble:-a command failed}"
    status=1
  fi
  exit "$status"
}

# ---- the volume ---------------------------------------------------------------------------------

# Makes a volume of 4+2 disks and mounts it.
mount_fresh() {
  mkdir -- "${disks[@]}"
  "$varve" mkfs --data 4 --parity 2 --label "$app" "${disks[@]}" >"$work/mkfs.out" 2>&1 ||
    die "varve mkfs: $(tail -n 1 "$work/mkfs.out")"
  mount_volume
}

# The daemon is our child, and stays in the foreground.
mount_volume() {
  local options=log=$work/daemon.log${mount_options:+,$mount_options} tries
  : >"$work/mount.out"
  "$varve" mount -f -o "$options" "${disks[0]}" "$mnt" >>"$work/mount.out" 2>"$work/mount.log" &
  daemon=$!
  for ((tries = 0; tries < 1200; tries++)); do
    grep -q '^mounted on' "$work/mount.out" && return 0
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.05
  done
  die "varve mount does not come up: $(tail -n 1 "$work/mount.log")"
}

# Waits for the daemon's end and answers its exit status.
wait_for_daemon() {
  local status=0
  wait "$daemon" || status=$?
  daemon=
  return "$status"
}

unmount_volume() {
  cd /
  "$varve" umount "$mnt" >"$work/umount.out" 2>&1 || die "varve umount: $(cat "$work/umount.out")"
  wait_for_daemon || die "the daemon ended with $?"
}

remount_volume() {
  unmount_volume
  mount_volume
}

detach_mount() {
  if ((EUID == 0)); then
    umount -l -- "$mnt" 2>/dev/null
  else
    fusermount3 -u -z -- "$mnt" 2>/dev/null
  fi
}

# The daemon dies without warning, as when its machine loses power. Its mount is left, and dead.
strike_daemon() {
  kill -KILL "$daemon"
  wait_for_daemon 2>/dev/null || true
}

# kill_daemon PROCESS...: and then those that were using the mount, lest they begin anew in the empty
# mountpoint.
kill_daemon() {
  strike_daemon
  kill -KILL "$@" 2>/dev/null || true
  wait "$@" 2>/dev/null || true
  detach_mount || die "the dead daemon's mount cannot be taken away"
}

# For clean_up: the daemon ends, whatever state it is in.
end_daemon() {
  [[ $mnt ]] && detach_mount
  [[ $daemon ]] || return 0
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    kill -0 "$daemon" 2>/dev/null || break
    ((tries == 50)) && kill -TERM "$daemon"
    ((tries == 90)) && kill -KILL "$daemon"
    sleep 0.1
  done
  wait_for_daemon 2>/dev/null
}

# Unmounts if need be; nothing may be wrong with what is on the disks, nor in the daemon's log.
check_volume() {
  [[ -z $daemon ]] || unmount_volume
  local status=0
  "$varve" fsck -n "${disks[0]}" >"$work/fsck.log" 2>&1 || status=$?
  ((status == 0)) || die "varve fsck -n exited with $status"
  rm -f -- "$work/fsck.log"
  say "varve fsck -n: clean"
}

# ---- looking ------------------------------------------------------------------------------------

# same EXPECTED FOUND WHAT: two files must hold the same.
same() {
  if ! cmp -s -- "$1" "$2"; then
    diff -- "$1" "$2" | head -n 20 | sed 's/^/    /' || true
    die "$3 is not as it should be"
  fi
}

# equal EXPECTED FOUND WHAT
equal() { [[ $1 == "$2" ]] || die "$3: '$2' where '$1' was expected"; }

# A moment between what has happened and what happens next, as a name below .snapshots.
moment() {
  sleep 0.05
  date -u +%Y-%m-%dT%H:%M:%S.%NZ
  sleep 0.05
}
