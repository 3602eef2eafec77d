//! A `main` that does not return.

#![deny(warnings)]

loky::main! {
    fn main() -> ! {
        std::process::exit(0)
    }
}
