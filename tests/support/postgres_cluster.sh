# A PostgreSQL cluster that lives as long as the pipe on its standard input.
#
# Arguments: the folder of the binaries, a free port, then lines for postgresql.conf. It answers each
# command with one line, the first one when the cluster is ready.
set -eu
trap '' INT TERM HUP PIPE

bin=$1 port=$2
shift 2
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

if ! "$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$root/initdb.log" 2>&1; then
    echo "initdb: $(tail -n 3 "$root/initdb.log" | tr '\n' ' ')"
    rm -rf "$root"
    exit 1
fi
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
    clean_up
    exit 1
fi

while read -r command; do
    case $command in
    stop) server stop -m fast ;;
    start) server start ;;
    pause) signal STOP ;;
    resume) signal CONT ;;
    esac
    echo "$command"
done
clean_up
