"""The shell scripts of a ``repository``: what ``fetch_repo`` and ``remove_repo`` run. Constants only."""

from __future__ import annotations

from clockwork_nb.resources.scripts import INSIDE

__all__ = ["FETCH", "REMOVE"]

_GIT = r"""
refuse() { printf '%s\n' "$@" >&2; exit 1; }
command -v git >/dev/null || refuse "git is not installed here; install it and apply again"

# git with nothing but these settings: none of the system's or the user's, no hooks, no templates, no questions.
cat > "$TMPDIR/gitconfig" <<'END'
[core]
    hooksPath = /dev/null
    fsmonitor = false
[protocol "ext"]
    allow = never
[submodule]
    recurse = false
[gc]
    autoDetach = false
[maintenance]
    autoDetach = false
[http]
    lowSpeedLimit = 1
    lowSpeedTime = 120
[advice]
    detachedHead = false
END
export GIT_CONFIG_GLOBAL="$TMPDIR/gitconfig" GIT_CONFIG_NOSYSTEM=1 GIT_ATTR_NOSYSTEM=1 GIT_TEMPLATE_DIR=
export GIT_TERMINAL_PROMPT=0 GIT_NO_LAZY_FETCH=1 GIT_SSH_COMMAND="ssh -o BatchMode=yes" GIT_NO_REPLACE_OBJECTS=1
export GIT_CEILING_DIRECTORIES="$project" GIT_DEFAULT_REF_FORMAT=files
umask 022

# Uses the repository in the folder $1 from here on.
use() {
    root=$project/$1
    export GIT_DIR="$root/.git" GIT_WORK_TREE="$root"
}

# A checkout's own settings can name programs that git then starts. Only settings that cannot are accepted.
harmless='^(core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|symlinks|precomposeunicode)$'
harmless=$harmless'|core\.(autocrlf|eol|safecrlf|quotepath|abbrev|worktree)$|extensions\.objectformat$'
harmless=$harmless'|remote\..*\.(url|pushurl|fetch|push|tagopt|prune)$'
harmless=$harmless'|branch\..*\.(remote|merge|rebase|pushremote|description)$|user\.(name|email)$'
harmless=$harmless'|submodule\..*\.(url|active|branch|update|fetchrecursesubmodules|ignore|shallow)$|submodule\.active$'
harmless=$harmless'|(push|pull|merge|rebase|color|advice|status|log)\.[a-z]+$|color\..*$)'
check_settings() {
    find "$root" -name config -path '*/.git/*' \( -type f -o -type l \) \
        -exec git config --file {} --no-includes --name-only --list \; > "$TMPDIR/settings" 2> /dev/null || :
    odd=$(grep -Ev "$harmless" "$TMPDIR/settings" | head -n 5 || :)
    [ -z "$odd" ] || refuse "the settings of the checkout $CW_PATH could start a program, so nothing was done:" "$odd" \
        "Look at $CW_PATH/.git/config, remove them (git config --unset) and apply again."
    find "$root" -name config -path '*/.git/*' \( -type f -o -type l \) -exec git config --file {} --no-includes \
        --get-regexp '^submodule\..*\.update$' '^!' \; > "$TMPDIR/settings" 2> /dev/null || :
    [ ! -s "$TMPDIR/settings" ] || refuse "a submodule of $CW_PATH names a command as its way to be updated"
    if git config --file "$GIT_DIR/config" --no-includes --get core.worktree > /dev/null; then
        refuse "the settings of $CW_PATH say that its files are elsewhere (core.worktree)"
    fi
    strange=$(find "$GIT_DIR" -name hooks -prune -o -type l -print | head -n 5)
    [ -z "$strange" ] || refuse "there are links in the .git folder of $CW_PATH, which git itself never makes:" "$strange"
    # A submodule keeps its repository in the checkout's own .git folder, says so in a file, and its files are there.
    find "$root" -mindepth 2 -name .git ! -type d ! -exec grep -qx 'gitdir: \(\.\./\)\{1,\}\.git/modules/.*' {} \; -print \
        > "$TMPDIR/settings"
    find "$root" -mindepth 2 -name .git ! -type d -exec grep -q '/modules/.*\.\./' {} \; -print >> "$TMPDIR/settings"
    if [ ! -s "$TMPDIR/settings" ]; then
        find "$root" -mindepth 2 -name .git ! -type d -execdir sh -c \
            'unset GIT_DIR GIT_WORK_TREE; [ "$(git rev-parse --show-toplevel)" = "$(pwd -P)" ]' \; -o \
            -mindepth 2 -name .git ! -type d -print > "$TMPDIR/settings"
    fi
    [ ! -s "$TMPDIR/settings" ] || refuse "a folder in $CW_PATH keeps its repository or its files elsewhere:" \
        "$(head -n 5 "$TMPDIR/settings")"
}

# Stops when something would be lost that is in no commit.
check_clean() {
    for sign in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD BISECT_LOG rebase-merge rebase-apply; do
        [ ! -e "$GIT_DIR/$sign" ] || refuse "$CW_PATH is in the middle of a merge, rebase or bisect ($sign);" \
            "end it (git status says how) and apply again. Nothing was changed."
    done
    dirty=$(git status --porcelain --untracked-files=normal --ignore-submodules=none)
    if [ -z "$dirty" ]; then dirty=$(git ls-files -v | grep '^[a-z]' || :); fi
    [ -z "$dirty" ] || refuse "$CW_PATH has changes that are in no commit; nothing was changed:" \
        "$(printf '%s\n' "$dirty" | head -n 20)" \
        "Commit and push them, or put them away (git stash, git clean), and apply again."
}

# Stops when one of the commits $@ is not known to have come from a remote.
check_pushed() {
    alone=$(git rev-list --max-count=20 --abbrev-commit "$@" --not --remotes --glob=refs/clockwork)
    [ -z "$alone" ] || refuse "$CW_PATH has commits that were not pushed anywhere; nothing was changed:" "$alone" \
        "Push them (git push), or put the branch aside, and apply again."
}

# A run of ours that is killed leaves locks and the files of two commits behind, and says which in this file.
unfinished() { printf '%s' "$GIT_DIR/clockwork-unfinished"; }

# Completes what such a checkout began; what it does not account for is somebody's own.
recover() {
    read -r from to < "$(unfinished)" || :
    case "$from$to" in
        *[!0-9a-f]* | '') rm -f -- "$(unfinished)"; check_clean; return ;;
    esac
    find "$GIT_DIR" -name '*.lock' -type f -exec rm -f -- {} +
    if [ "$from" = "$to" ]; then rm -f -- "$(unfinished)"; check_clean; return; fi
    git update-index -q --refresh > /dev/null || :
    git diff-tree -r --name-only --no-renames "$from" "$to" | LC_ALL=C sort -u > "$TMPDIR/touched"
    {
        git diff-index --name-only --no-renames --ignore-submodules=all "$from"
        git ls-files --others --exclude-standard
    } | LC_ALL=C sort -u > "$TMPDIR/changed"
    own=$(LC_ALL=C comm -13 "$TMPDIR/touched" "$TMPDIR/changed" | head -n 20)
    [ -z "$own" ] || refuse "an earlier run was stopped while it changed $CW_PATH, and these are not of its making:" \
        "$own" "Put them away and apply again. Nothing was changed."
    # The files as they were found stay in the repository: one could have been edited since.
    kept=$(
        export GIT_INDEX_FILE="$TMPDIR/index" GIT_AUTHOR_NAME=clockwork GIT_AUTHOR_EMAIL=clockwork@localhost
        export GIT_COMMITTER_NAME=clockwork GIT_COMMITTER_EMAIL=clockwork@localhost
        git read-tree "$from" && git add --all && git commit-tree -p "$from" -m "an unfinished checkout" \
            "$(git write-tree)"
    )
    git update-ref "refs/clockwork/unfinished/$kept" "$kept"
    git read-tree --reset -u "$to"
    git update-ref --no-deref HEAD "$to"
    git update-ref refs/clockwork/before "$to"
    echo "completed a checkout that was cut off; the files as they were found are commit $kept"
}

# The address of the remote without what could be a password.
shown() { printf '%s' "$1" | sed 's|://[^/@]*@|://|'; }

remote_url() { git config --file "$GIT_DIR/config" --no-includes --get-all remote.origin.url || :; }
"""

_FETCH = r"""
name=${CW_PATH##*/}
new=$CW_PARENT/.cw-$name.new
old=$CW_PARENT/.cw-$name.old
case "$CW_URL" in
    ./* | ../*) url=$project/${CW_URL#./} ;;
    *) url=$CW_URL ;;
esac
if [ -n "${CW_PASSWORD-}" ]; then
    # Told to this server alone, read from the descriptor that holds it.
    helper='!answer() { [ "$1" != get ] || { printf "username=%s\npassword=" "$CW_USERNAME"; cat -- "$CW_PASSWORD"; echo; }; }; answer'
    git config --file "$TMPDIR/gitconfig" "credential.$CW_ORIGIN.helper" "$helper"
fi

# What the remote calls $1, exactly; nothing when it has no such ref.
remote_ref() { printf '%s\n' "$listing" | awk -F '\t' -v name="$1" '$2 == name { print $1; exit }'; }

# Finds out what is wanted: target becomes a ref of the remote, or stays empty when it is a commit.
ask_remote() {
    listing=$(git ls-remote --symref -- "$url" HEAD "refs/heads/$CW_REF" "refs/tags/$CW_REF" "$CW_REF")
    want=$CW_REF
    target=
    case "$CW_REF" in
        '')
            target=$(printf '%s\n' "$listing" | sed -n 's/^ref: \(.*\)\tHEAD$/\1/p' | head -n 1)
            want=$(remote_ref HEAD)
            [ -n "$want" ] || refuse "$CW_URL has no commit to check out yet, or does not say which; name a ref"
            ;;
        refs/*)
            target=$CW_REF
            [ -n "$(remote_ref "$target")" ] || refuse "$CW_URL has no $CW_REF"
            ;;
        *)
            for target in "refs/heads/$CW_REF" "refs/tags/$CW_REF" ''; do
                [ -z "$target" ] || [ -z "$(remote_ref "$target")" ] || break
            done
            ;;
    esac
    if [ -z "$target" ]; then
        case "$want" in
            *[!0-9a-f]* | ? | ?? | ???) refuse "$CW_URL has no branch or tag \"$CW_REF\"" ;;
        esac
    fi
}

# Fetches what is named and nothing else: refspecs that somebody added to the settings are for their own fetches.
get() { git fetch --quiet --force --refmap= "$@"; }

# Fetches what is wanted, with its history down to the depth $1 (empty: all of it), and sets commit.
fetch() {
    [ "$(remote_url)" = "$url" ] || git config --replace-all remote.origin.url "$url"
    found=refs/clockwork/target
    case "$target" in
        refs/heads/*) found=refs/remotes/origin/${target#refs/heads/} ;;
        refs/tags/*) found=$target ;;
    esac
    if [ -z "$1" ]; then
        whole=
        [ ! -f "$GIT_DIR/shallow" ] || whole=--unshallow
        get $whole --prune --tags origin '+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/clockwork/tags/*'
        [ "$found" != refs/clockwork/target ] || [ -z "$target" ] || get --no-tags origin "+$target:$found"
    elif [ -n "$target" ]; then
        get --no-tags --depth "$1" origin "+$target:$found"
    else
        [ ${#want} -ge 40 ] || refuse \
            "$CW_URL has no branch or tag \"$CW_REF\", and with \"depth\" a commit must be written whole"
        get --no-tags --depth "$1" origin "$want"
    fi
    if [ -n "$target" ]; then
        commit=$(git rev-parse --verify --quiet "$found^{commit}") || refuse "$target of $CW_URL is no commit"
    else
        find_commit
    fi
}

# Sets commit to the one whose name begins with $want.
find_commit() {
    if [ ${#want} -ge 40 ]; then
        # A commit on no branch is given out by most servers when one asks for it by its whole name.
        git cat-file -e "$want^{commit}" 2> /dev/null || get --no-tags origin "$want" \
            || refuse "$CW_URL has no commit $want"
        git cat-file -e "$want^{commit}" || refuse "$want is no commit"
        commit=$want
        return
    fi
    git rev-parse --disambiguate="$want" > "$TMPDIR/objects"
    commit=
    while read -r object; do
        [ "$(git cat-file -t "$object")" = commit ] || continue
        [ -z "$commit" ] || refuse "\"$CW_REF\" is the beginning of more than one commit; write more of it"
        commit=$object
    done < "$TMPDIR/objects"
    [ -n "$commit" ] || refuse "$CW_URL has no branch, tag or commit \"$CW_REF\""
}

# Checks the commit out: a branch of the remote as the local branch of its name, anything else detached.
check_out() {
    case "$target" in
        refs/heads/*) set -- -B "${target#refs/heads/}" "refs/remotes/origin/${target#refs/heads/}" ;;
        *) set -- --detach "$commit" ;;
    esac
    # What git ignores is not overwritten either: it may be the only copy.
    git checkout --quiet --no-overwrite-ignore "$@"
}

add_submodules() {
    [ "$CW_SUBMODULES" = 1 ] || return 0
    (
        cd -- "$root"
        unset GIT_DIR GIT_WORK_TREE
        git submodule --quiet sync --recursive
        git submodule --quiet update --init --recursive ${depth:+--depth "$depth"}
    )
}

# git leaves the files of a submodule behind that what is checked out next does not have.
drop_submodules() {
    git diff-tree -r --no-renames --diff-filter=DT "$before" "$commit" > "$TMPDIR/dropped"
    ! grep -q '^:160000 ' "$TMPDIR/dropped" || (
        cd -- "$root"
        unset GIT_DIR GIT_WORK_TREE
        git submodule --quiet deinit --all
    )
}

# Builds a whole checkout beside its place, so that nobody ever sees half of one.
build_new() {
    trap 'rm -rf -- "${new:?}"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    use "$new"
    depth=$CW_DEPTH
    git init --quiet --initial-branch=clockwork-nothing "$root" 2> /dev/null || git init --quiet "$root"
    git config remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*'
    ask_remote
    fetch "$depth"
    check_out
    add_submodules
    git update-ref refs/clockwork/commit "$commit"
}

finish() {
    case "$target" in
        refs/heads/* | refs/tags/*) printf '%s at %.12s\n' "${target#refs/*/}" "$commit" ;;
        *) printf 'at %.12s\n' "$commit" ;;
    esac
}

folder=$CW_PARENT
while [ ! -d "$folder" ]; do folder=$(dirname -- "$folder"); done
stay_inside "$folder"
mkdir -p -- "$CW_PARENT"
# What a run that was killed left behind.
rm -rf -- "${new:?}" "${old:?}"

[ ! -L "$CW_PATH" ] || refuse "$CW_PATH is a symbolic link; a checkout cannot take its place. Remove it and apply again."
if [ ! -e "$CW_PATH" ]; then
    build_new
    mv -- "$new" "$CW_PATH"
    finish
    exit 0
fi
if [ ! -d "$CW_PATH/.git" ] || [ -L "$CW_PATH/.git" ]; then
    rmdir -- "$CW_PATH" 2> /dev/null || refuse "$CW_PATH is there and is no git checkout; nothing was changed." \
        "Move it away, or choose another path."
    build_new
    mv -- "$new" "$CW_PATH"
    finish
    exit 0
fi

use "$CW_PATH"
check_settings
have=$(remote_url)
if [ "$have" != "$url" ] && [ "$CW_OURS" = 0 ]; then
    refuse "$CW_PATH is a checkout of something else: its remote is \"$(shown "$have")\", not \"$CW_URL\"." \
        "Move it away, choose another path, or set its remote (git remote set-url origin) if it is the same."
fi
if [ -f "$(unfinished)" ]; then recover; else check_clean; fi
before=$(git rev-parse --verify --quiet HEAD || :)
[ -z "$before" ] || check_pushed HEAD

ask_remote
branch=
case "$target" in refs/heads/*) branch=$target ;; esac
if [ -n "$branch" ] && git show-ref --verify --quiet "$branch"; then check_pushed "$branch"; else branch=; fi

if [ "$have" != "$url" ] && [ -n "$before" ]; then
    # Another address: of the same history only the address changes, anything else is a new checkout.
    related=0
    if [ ! -f "$GIT_DIR/shallow" ]; then
        get --no-tags -- "$url" "${target:-HEAD}"
        if git merge-base HEAD FETCH_HEAD > /dev/null; then related=1; fi
    fi
    if [ $related = 0 ]; then
        check_pushed HEAD --branches --tags
        ! git show-ref --verify --quiet refs/stash || refuse "$CW_PATH has a stash; apply or drop it (git stash list)"
        build_new
        mv -- "$CW_PATH" "$old"
        mv -- "$new" "$CW_PATH"
        rm -rf -- "${old:?}"
        finish
        exit 0
    fi
fi

# From here on a run that is killed leaves locks behind; one that only fails does not.
if [ -n "$before" ]; then
    trap 'rm -f -- "$(unfinished)"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '%s %s\n' "$before" "$before" > "$(unfinished)"
    # The remote may forget these; they are known to have come from one.
    git update-ref refs/clockwork/before "$before"
fi
[ -z "$branch" ] || git update-ref refs/clockwork/before-branch "$branch"
depth=
[ ! -f "$GIT_DIR/shallow" ] || depth=$CW_DEPTH
fetch "$depth"
if [ -n "$before" ]; then
    printf '%s %s\n' "$before" "$commit" > "$(unfinished)"
    trap - EXIT
fi
if [ "$CW_SUBMODULES" = 1 ] && [ -n "$before" ]; then drop_submodules; fi
if ! check_out; then
    # It looks before it writes; only when it was stopped by a full disk or the like is there something to complete.
    [ -n "$(git status --porcelain --ignore-submodules=all)" ] || rm -f -- "$(unfinished)"
    exit 1
fi
add_submodules
git update-ref refs/clockwork/commit "$commit"
rm -f -- "$(unfinished)"
finish
"""

_REMOVE = r"""
if [ -L "$CW_PATH" ]; then
    echo "left in place: $CW_PATH is a symbolic link now"
    exit 0
fi
[ -e "$CW_PATH" ] || exit 0
if [ ! -d "$CW_PATH/.git" ] || [ -L "$CW_PATH/.git" ]; then
    echo "left in place: $CW_PATH is no git checkout any more"
    exit 0
fi
stay_inside "$CW_PATH"
case "$CW_URL" in
    ./* | ../*) url=$project/${CW_URL#./} ;;
    *) url=$CW_URL ;;
esac
use "$CW_PATH"
check_settings
if [ "$(remote_url)" != "$url" ]; then
    echo "left in place: $CW_PATH is a checkout of something else now"
    exit 0
fi
if [ -f "$(unfinished)" ]; then recover; else check_clean; fi
if git rev-parse --verify --quiet HEAD > /dev/null; then check_pushed HEAD --branches --tags; fi
! git show-ref --verify --quiet refs/stash || refuse "$CW_PATH has a stash; apply or drop it (git stash list)." \
    "Nothing was removed."
rm -rf -- "${CW_PATH:?}"
echo "removed $CW_PATH"
"""

FETCH = INSIDE + _GIT + _FETCH
"""``fetch_repo``. Variables: CW_URL, CW_REF, CW_DEPTH, CW_PATH, CW_PARENT, CW_SUBMODULES, CW_OURS; with a password also
CW_ORIGIN, CW_USERNAME, and CW_PASSWORD, the path to read it from."""

REMOVE = INSIDE + _GIT + _REMOVE
"""``remove_repo``. Variables: CW_URL, CW_PATH."""
