#!/usr/bin/env bash
# Nine serde formats, each value in a struct field, written and read back by the format itself.
# Expected: a value that cannot be represented is an error.
# Seen (Linux x86-64, Rust 1.95): six of them return another value without an error. Which of the three values survive differs from format to
# format, because each writes `()` in another way (null, an empty array, nothing).
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
bitcode = { version = "=0.6.9", features = ["serde"] }
cbor2 = "=1.1.6"
cbor4ii = { version = "=1.2.4", features = ["serde1", "use_std"] }
ciborium = "=0.2.2"
minicbor-serde = { version = "=0.7.2", features = ["std"] }
postcard = { version = "=1.2.0", features = ["use-std"] }
pot = "=3.0.1"
rmp-serde = "=1.3.1"
ron = "=0.12.3"
serde = { version = "1", features = ["derive"] }
TOML
cat > src/main.rs <<'RUST'
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Serialize, Deserialize, PartialEq)]
struct Named<T> {
    x: T,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Unit;

fn through<T: Serialize + DeserializeOwned>(format: &str, value: &T) -> Option<T> {
    match format {
        "bitcode" => bitcode::deserialize(&bitcode::serialize(value).ok()?).ok(),
        "cbor2" => cbor2::from_slice(&cbor2::to_vec(value).ok()?).ok(),
        "cbor4ii" => cbor4ii::serde::from_slice(&cbor4ii::serde::to_vec(Vec::new(), value).ok()?).ok(),
        "ciborium" => {
            let mut bytes = Vec::new();
            ciborium::into_writer(value, &mut bytes).ok()?;
            ciborium::from_reader(&bytes[..]).ok()
        }
        "minicbor" => minicbor_serde::from_slice(&minicbor_serde::to_vec(value).ok()?).ok(),
        "postcard" => postcard::from_bytes(&postcard::to_stdvec(value).ok()?).ok(),
        "pot" => pot::from_slice(&pot::to_vec(value).ok()?).ok(),
        "rmp" => rmp_serde::from_slice(&rmp_serde::to_vec_named(value).ok()?).ok(),
        "ron" => ron::from_str(&ron::to_string(value).ok()?).ok(),
        _ => unreachable!(),
    }
}

fn survives<T: Serialize + DeserializeOwned + PartialEq>(format: &str, x: T) -> &'static str {
    let value = Named { x };
    match through(format, &value) {
        None => "error",
        Some(back) if back == value => "equal",
        Some(_) => "changed",
    }
}

fn main() {
    let formats = ["bitcode", "cbor2", "cbor4ii", "ciborium", "minicbor", "postcard", "pot", "rmp", "ron"];
    for format in formats {
        let nested = survives(format, Some(None::<u8>));
        println!("{format} {nested} {} {}", survives(format, Some(())), survives(format, Some(Unit)));
    }
}
RUST
seen=$(cargo run --quiet)
printf 'format Some(None) Some(()) Some(Unit)\n%s\n' "$seen"
diff <(echo "$seen") - <<'TEXT'
bitcode equal equal equal
cbor2 changed changed changed
cbor4ii changed equal equal
ciborium changed changed changed
minicbor changed equal equal
postcard equal equal equal
pot changed equal equal
rmp changed changed equal
ron equal equal equal
TEXT
