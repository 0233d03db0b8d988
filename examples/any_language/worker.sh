#!/bin/sh
# Runs the jobs of a queue, one at a time: task NAME is the program tasks/NAME, which reads the
# arguments as JSON and writes its result as JSON.  Usage: worker.sh [QUEUE [LEASE_SECONDS]]
queue=${1:-shell} lease=${2:-15} api=${JOBPIPE_URL:-http://127.0.0.1:8000}/api/v1/claims
tasks=$(cd tasks && printf '"%s",' *) tab=$(printf '\t')

call() { # call PATH BODY
    printf '%s' "$2" | curl -sSf --retry 3 -H 'Accept: text/plain' \
        ${JOBPIPE_TOKEN:+-H "Authorization: Bearer $JOBPIPE_TOKEN"} \
        -H 'Content-Type: application/json' --data-binary @- "$api$1"
}

while :; do
    line=$(call '' "{\"worker\": \"shell-$$\", \"queues\": \"$queue\", \"tasks\": [${tasks%,}],
        \"wait_seconds\": 30, \"lease_seconds\": $lease}") || sleep 1
    IFS=$tab read -r claim job token attempt task args <<END
$line
END
    [ "$claim" ] || continue
    while sleep $((lease / 3)) && kill -0 $$ && call "/$claim/heartbeat" '{}'; do :; done \
        >/dev/null 2>&1 & # keeps the claim while this program lives
    if result=$(printf '%s' "$args" | "tasks/$task"); then
        how=finish what="\"result\": ${result:-null}"
    else
        how=fail what="\"error\": {\"type\": \"ExitCode\", \"message\": \"$?\"}"
    fi
    kill $!
    call "/$claim/$how" "{\"jobs\": [{\"job\": $job, \"token\": $token, $what}]}" >/dev/null
done
