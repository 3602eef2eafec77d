//! No lint of the compiler has anything to say.

#![deny(warnings, missing_docs, unreachable_pub, missing_debug_implementations, dead_code)]
#![deny(unused_qualifications, unnameable_types, elided_lifetimes_in_paths, unused_results)]
#![forbid(non_camel_case_types, non_snake_case, private_interfaces)]

#[loky::task]
fn private(_: std::collections::BTreeMap<u8, Hidden>) {}

#[derive(serde::Serialize, serde::Deserialize)]
struct Hidden;

mod inner {
    #[loky::task]
    pub(crate) fn visible(a: u8) -> u8 {
        a
    }
}

loky::main! {
    fn main() {
        assert_eq!(inner::visible(1), 1);
    }
}
