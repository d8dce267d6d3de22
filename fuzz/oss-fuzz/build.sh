#!/bin/bash -eu
# Builds every fuzz target, as OSS-Fuzz and ClusterFuzzLite call it: the sources are in $SRC/netroxy; programs, corpora
# and dictionaries go to $OUT. SANITIZER and RUSTFLAGS come from their image. FUZZ_TARGETS names some targets; all when it
# is not set.

cd "$SRC/netroxy/fuzz"
host=$(rustc -vV | sed -n 's/^host: //p')
built=${CARGO_TARGET_DIR:-$PWD/target}/$host/release

# The words of the wire; other targets have a dictionary of their own, or none.
dictionary() {
    case $1 in
        client_message | server_message | chunking) echo netroxy.dict ;;
        *) echo "$1.dict" ;;
    esac
}

# The targets of a crate: its folder.
pack() {
    local folder=$1 target
    for target in $(cargo fuzz list --fuzz-dir "$folder"); do
        case " ${FUZZ_TARGETS:-$target} " in *" $target "*) ;; *) continue ;; esac
        cargo fuzz build --fuzz-dir "$folder" -O --debug-assertions ${SANITIZER:+--sanitizer "$SANITIZER"} "$target"
        cp "$built/$target" "$OUT/"
        # No folders inside, and the same bytes each time.
        (cd "$folder/corpus/$target" && find . -type f | LC_ALL=C sort | zip -q -X -@ "$OUT/${target}_seed_corpus.zip")
        if [ -f "$folder/$(dictionary "$target")" ]; then
            cp "$folder/$(dictionary "$target")" "$OUT/$target.dict"
        fi
    done
}

pack .
pack suite
