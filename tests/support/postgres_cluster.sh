# A PostgreSQL cluster that lives as long as the pipe on its standard input.
#
# Arguments: the folder of the binaries, a free port, the port of the primary that it is a standby of (or
# nothing), its name there, then lines for postgresql.conf. It answers each command with one line, the first
# one when the cluster is ready.
set -eu
trap '' INT TERM HUP PIPE

bin=$1 port=$2 primary=$3 name=$4
shift 4
root=$(mktemp -d "${TMPDIR:-/tmp}/bridge-auth-pg.XXXXXX")
data=$root/data

server() {
    "$bin/pg_ctl" -D "$data" -l "$root/log" -w -t 60 "$@" >>"$root/pg_ctl.log" 2>&1
}

# The postmaster and all it started: each of them has a process group of its own.
signal() {
    main=$(head -n 1 "$data/postmaster.pid")
    children=$(cat "/proc/$main/task/$main/children")
    kill "-$1" "$main"
    for child in $children; do
        # One that has ended meanwhile needs no signal.
        kill "-$1" "$child" 2>/dev/null || [ ! -e "/proc/$child" ]
    done
}

clean_up() {
    signal CONT 2>/dev/null || true
    server stop -m immediate || true
    rm -rf "$root"
}
# However this script ends, a failed command included.
trap clean_up EXIT

make() {
    if [ -z "$primary" ]; then
        "$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C --no-sync
    else
        "$bin/pg_basebackup" -D "$data" -R -X stream -c fast --no-sync \
            -d "host=127.0.0.1 port=$primary user=postgres application_name=$name" &&
            # What was set on the primary by ALTER SYSTEM is the primary's alone.
            sed -i '/^primary_conninfo/!d' "$data/postgresql.auto.conf"
    fi
}

if ! make >"$root/make.log" 2>&1; then
    echo "not made: $(tail -n 3 "$root/make.log" | tr '\n' ' ')"
    exit 1
fi
# Of several lines with one name the last counts.
cat >>"$data/postgresql.conf" <<CONF
port = $port
listen_addresses = '127.0.0.1'
unix_socket_directories = '$root'
max_connections = 300
shared_buffers = 64MB
fsync = off
full_page_writes = off
CONF
for line in "$@"; do
    echo "$line" >>"$data/postgresql.conf"
done
if server start; then
    echo ready
else
    echo "start: $(tail -n 3 "$root/log" | tr '\n' ' ')"
    exit 1
fi

while read -r command; do
    case $command in
    stop) server stop -m fast ;;
    start) server start ;;
    # All at once, as when the machine loses its power.
    kill)
        signal KILL
        # Its process may stay in the table until somebody asks for it, and would be taken for a running server.
        rm -f "$data/postmaster.pid"
        ;;
    pause) signal STOP ;;
    resume) signal CONT ;;
    promote) server promote ;;
    esac
    echo "$command"
done
