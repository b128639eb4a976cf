"""Shell text that finds a service's containers, and lets one take the place of another so that a failure loses neither. Pure.

The container that is there is renamed and stopped; it goes when the new one stays up, else it comes back under its name. A
run that is killed in between leaves both; the next one tells them apart by their names and our labels, and brings it to an end.
"""

from __future__ import annotations

from clockwork_nb.resources.containers import (
    ADDRESS_LABEL,
    ASIDE_ENDING,
    ENGINE_PATH,
    PROJECT_LABEL,
    SCRIPT_LABEL,
    SPEC_LABEL,
    WORKSPACE_LABEL,
)

__all__ = ["alive", "exchange", "head", "make_room", "taken"]


def head(engine: str) -> str:
    """Return what each script begins with: who we are, what is there (``CW_ID``, ``CW_OLD``), and what our labels say."""
    ending = ASIDE_ENDING.replace(".", "\\.")
    return f"""\
# The engine's network tools are in sbin.
PATH={ENGINE_PATH}
CW_PROJECT=$(pwd -P)
CW_PLACE=$(cd -P -- "${{CW_WORKSPACE:-.clockwork}}" && pwd -P)
# What the engine leaves running beside a container is not this run's, and must not be taken for it.
unset CW_FENCING_TOKEN CW_IDEMPOTENCY_KEY CW_METER CW_WORKSPACE
CW_ASIDE=$CW_NAME{ASIDE_ENDING}

# Sets CW_ID to the container called CW_NAME, and CW_OLD to ours that it is to replace; "" when there is none.
look() {{
    CW_ID= CW_OLD=
    found=$({engine} ps --all --no-trunc --format '{{{{.ID}}}} {{{{.Names}}}}' --filter "name=^$CW_PATTERN({ending})?\\$")
    while read -r id name; do
        # Names that links gave it follow its own, with commas.
        case "$name," in
            "$CW_NAME,"*) CW_ID=$id ;;
            "$CW_ASIDE,"*) CW_OLD=$id ;;
        esac
    done <<FOUND
$found
FOUND
    if [ -n "$CW_OLD" ]; then
        tell "$CW_OLD"
        ours || CW_OLD=
    fi
    tell "$CW_ID"
}}
# Sets what our labels say of the container $1.
tell() {{
    status= spec= script= address= owner= place=
    [ -n "$1" ] || return 0
    {{
        IFS= read -r status
        IFS= read -r spec
        IFS= read -r script
        IFS= read -r address
        IFS= read -r owner
        IFS= read -r place
    }} <<FOUND
$({engine} inspect --type container --format '{{{{.State.Status}}}}
{{{{index .Config.Labels "{SPEC_LABEL}"}}}}
{{{{index .Config.Labels "{SCRIPT_LABEL}"}}}}
{{{{index .Config.Labels "{ADDRESS_LABEL}"}}}}
{{{{index .Config.Labels "{PROJECT_LABEL}"}}}}
{{{{index .Config.Labels "{WORKSPACE_LABEL}"}}}}
.' "$1")
FOUND
}}
ours() {{ [ "$address" = "$CW_ADDRESS" ] && [ "$owner" = "$CW_PROJECT" ] && [ "${{place:-$CW_PLACE}}" = "$CW_PLACE" ]; }}
# Removes the container $1, which gets $2 seconds to stop.
remove() {{
    {engine} stop -t "$2" "$1" > /dev/null || true
    {engine} rm --force "$1" > /dev/null
}}

look
"""


def taken(engine: str) -> str:
    """Return the lines that stop when the name is a stranger's."""
    return f"""\
if [ -n "$CW_ID" ] && ! ours; then
    echo "the container name $CW_NAME is taken${{owner:+ by $address of ${{place:-$owner}}}}" >&2
    echo "give the service another name, or remove it: {engine} rm --force $CW_NAME" >&2
    exit 1
fi
"""


def exchange(engine: str) -> str:
    """Return the functions by which one container takes another's place, and the lines that settle one cut short.

    After them ``CW_OLD`` is set only when the container ``CW_ID`` is there too.
    """
    return f"""\
# Whether the container CW_ID is up; a fresh one ($1 = 1) that had to be started again was never up.
now=
stays_up() {{
    now=$({engine} inspect --type container --format '{{{{.State.Status}}}} {{{{.RestartCount}}}}' "$CW_ID")
    case "$1 $now" in
        "1 running 0" | "0 running "*) return 0 ;;
        *) return 1 ;;
    esac
}}
# Until `settled` a failure brings back the container $1; it runs again if it did ($2 = 1).
guard() {{
    CW_BEFORE=$1 CW_RAN=$2
    trap put_back EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}}
settled() {{ trap - EXIT; }}
put_back() {{
    code=$?
    trap - EXIT
    set +e
    look
    if [ -n "$CW_OLD" ]; then
        if [ -n "$CW_ID" ] && ours; then remove "$CW_ID" 0; fi
        {engine} rename "$CW_OLD" "$CW_NAME"
    fi
    if [ "$CW_RAN" = 1 ]; then {engine} start "$CW_BEFORE" > /dev/null; fi
    now=$({engine} inspect --type container --format '{{{{.Name}}}} {{{{.State.Status}}}}' "$CW_BEFORE")
    now=${{now#/}}
    case "$now" in
        "$CW_NAME running") echo "the container that was there before is back and runs" >&2 ;;
        "$CW_NAME "*) echo "the container that was there before is back; it is: ${{now#* }}" >&2 ;;
        *) echo "the container that was there before waits as $CW_ASIDE; the next apply brings it back" >&2 ;;
    esac
    exit "$code"
}}
# The container that a run before this one set aside gets its name again.
CW_CUT=0
give_back() {{
    {engine} rename "$CW_OLD" "$CW_NAME"
    look
    CW_CUT=1
    echo "back from an exchange that was cut short: container $(printf %.12s "$CW_ID")"
}}
if [ -n "$CW_OLD" ] && [ -z "$CW_ID" ]; then give_back; fi
"""


def make_room(engine: str) -> str:
    """Return the lines that free the name and the ports for another container; what has them is kept under another name."""
    return f"""\
if [ -n "$CW_OLD" ]; then
    # What took its place in a run before this one is not wanted any more; only one that stays up replaces it.
    if stays_up 1 && really_runs; then
        {engine} rm --force "$CW_OLD" > /dev/null
        CW_OLD=
    else
        remove "$CW_ID" 0
        give_back
    fi
fi
case "$status" in
    "") ;;
    dead | removing) remove "$CW_ID" "$CW_STOP_S"; CW_DONE='made anew' ;;
    *)
        # One whose exchange was cut short may be stopped by that alone.
        case "$CW_CUT $status" in 1* | *" paused" | *" restarting" | *" running") ran=1 ;; *) ran=0 ;; esac
        guard "$CW_ID" "$ran"
        {engine} rename "$CW_ID" "$CW_ASIDE"
        CW_OLD=$CW_ID
        [ "$status" != paused ] || {engine} unpause "$CW_OLD" > /dev/null
        {engine} stop -t "$CW_STOP_S" "$CW_OLD" > /dev/null || true
        CW_DONE='made anew'
        ;;
esac
"""


def alive(engine: str) -> str:
    """Return the last lines: the container has to stay up, and then what it replaced goes."""
    return f"""\
# One that ends at once was never up.
sleep 0.3
if ! stays_up "$CW_FRESH"; then
    {engine} logs --tail 20 "$CW_ID" >&2 || true
    echo "the container $CW_NAME did not stay up; it is: ${{now% *}}" >&2
    exit 1
fi
settled
[ -z "$CW_OLD" ] || {engine} rm --force "$CW_OLD" > /dev/null
echo "$CW_DONE, container $(printf %.12s "$CW_ID")"
"""
