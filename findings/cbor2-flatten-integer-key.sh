#!/usr/bin/env bash
# cbor2 1.1.6 with serde 1: a struct with a flattened `BTreeMap<u64, u8>`.
# Expected: equal after a round trip (rmp-serde 1.3.1 does it), or an error that names the integer key.
# Seen (Linux x86-64, Rust 1.95): writing succeeds; reading fails with an error about the string "@@KEY@@7", a marker of the crate's
# own that is in neither the value nor the bytes' text keys. The map by itself, not flattened, comes back equal.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
cbor2 = "=1.1.6"
rmp-serde = "=1.3.1"
serde = { version = "1", features = ["derive"] }
TOML
cat > src/main.rs <<'RUST'
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Row {
    name: String,
    #[serde(flatten)]
    cells: BTreeMap<u64, u8>,
}

fn main() {
    let cells = BTreeMap::from([(7, 2)]);
    let bytes = cbor2::to_vec(&cells).expect("written");
    assert_eq!(cbor2::from_slice::<BTreeMap<u64, u8>>(&bytes).expect("read"), cells);

    let row = Row { name: "a".into(), cells };
    let packed = rmp_serde::to_vec_named(&row).expect("written");
    assert_eq!(rmp_serde::from_slice::<Row>(&packed).expect("read"), row);

    let bytes = cbor2::to_vec(&row).expect("written");
    println!("{}", cbor2::from_slice::<Row>(&bytes).expect_err("it cannot be read back"));
}
RUST
seen=$(cargo run --quiet)
echo "cbor2 1.1.6: $seen"
[[ "$seen" == *'"@@KEY@@7", expected u64'* ]]
