#!/bin/bash -eu
# Builds the fuzz targets. OSS-Fuzz and ClusterFuzzLite call it: the sources are in $SRC/netroxy; programs, corpora and
# dictionaries go to $OUT. Their image sets SANITIZER and RUSTFLAGS. FUZZ_TARGETS names the targets to build; without
# it, all are built.

cd "$SRC/netroxy/fuzz"
host=$(rustc -vV | sed -n 's/^host: //p')
built=${CARGO_TARGET_DIR:-$PWD/target}/$host/release

# Prints the dictionary of the target $1: targets that read the wire share one, others have their own or none.
dictionary() {
    case $1 in
        client_message | server_message | chunking) echo netroxy.dict ;;
        *) echo "$1.dict" ;;
    esac
}

# Builds and packs the targets of the crate in the folder $1.
pack() {
    local folder=$1 target
    for target in $(cargo fuzz list --fuzz-dir "$folder"); do
        case " ${FUZZ_TARGETS:-$target} " in *" $target "*) ;; *) continue ;; esac
        cargo fuzz build --fuzz-dir "$folder" -O --debug-assertions ${SANITIZER:+--sanitizer "$SANITIZER"} "$target"
        cp "$built/$target" "$OUT/"
        # Sorted and without folders, so that the same corpus gives the same bytes.
        (cd "$folder/corpus/$target" && find . -type f | LC_ALL=C sort | zip -q -X -@ "$OUT/${target}_seed_corpus.zip")
        if [ -f "$folder/$(dictionary "$target")" ]; then
            cp "$folder/$(dictionary "$target")" "$OUT/$target.dict"
        fi
    done
}

pack .
pack suite
