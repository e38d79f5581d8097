# Ends everything that the drill started, and removes its folder, however the drill ends. This script waits for the end
# of the pipe on its standard input. The system closes the pipe also when the drill was killed.
#
# Argument: the folder. Every process that the drill starts has its working folder there, and so do their children.
trap '' INT TERM HUP PIPE
root=$1

ours() {
    for process in /proc/[0-9]*; do
        case $(readlink "$process/cwd" 2>/dev/null) in
        "$root" | "$root"/*) echo "${process#/proc/}" ;;
        esac
    done
}

while read -r _; do :; done
# Patroni and the gateways end first, so that nothing starts a server again. Then the servers are asked to end, because
# a killed server leaves its shared memory behind.
for pid in $(ours); do
    case $(cat "/proc/$pid/comm" 2>/dev/null) in
    postgres) ;;
    *) kill -KILL "$pid" 2>/dev/null ;;
    esac
done
for pid in $(ours); do
    kill -CONT "$pid" 2>/dev/null
done
for main in "$root"/*/data/postmaster.pid; do
    [ -e "$main" ] && kill -QUIT "$(head -n 1 "$main")" 2>/dev/null
done
left=30
while [ -n "$(ours)" ]; do
    left=$((left - 1))
    if [ "$left" -le 0 ]; then
        for pid in $(ours); do
            kill -KILL "$pid" 2>/dev/null
        done
    fi
    sleep 0.1
done
# A server that had to be killed leaves its lock file. The file has the number of its shared memory segment.
for file in "$root"/*/data/postmaster.pid; do
    segment=$(sed -n '7s/.* //p' "$file" 2>/dev/null)
    [ -n "$segment" ] && ipcrm -m "$segment" 2>/dev/null
done
rm -rf "$root"
