//! The entry, in its simplest form.

loky::main! {
    /// What the program does.
    #[allow(unused_mut, clippy::all)]
    fn main() {
        let mut guard = 1;
        assert_eq!(guard + answer(), 42);
    }
}

fn answer() -> u8 {
    41
}
