#!/usr/bin/env bash
# rmp-serde 1.3.1 with serde 1: an untagged enum holds `A(u128)` and `B(String)`.
# Expected: `A(5)` comes back as `A(5)`, or reading fails (other self-describing formats fail).
# Seen (Linux x86-64, Rust 1.95): no error, and the value comes back as `B` with a string of 16 bytes: the format writes a u128
# as a byte string, which serde's buffer for untagged enums offers to the string variant.
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
rmp-serde = "=1.3.1"
serde = { version = "1", features = ["derive"] }
TOML
cat > src/main.rs <<'RUST'
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Debug)]
#[serde(untagged)]
enum Amount {
    Number(u128),
    Text(String),
}

fn main() {
    let bytes = rmp_serde::to_vec_named(&Amount::Number(5)).expect("it is written");
    match rmp_serde::from_slice::<Amount>(&bytes) {
        Ok(Amount::Text(text)) => println!("Text of {} bytes", text.len()),
        other => println!("{other:?}"),
    }
}
RUST
seen=$(cargo run --quiet)
echo "rmp-serde 1.3.1: Number(5) comes back as $seen"
[ "$seen" = "Text of 16 bytes" ]
