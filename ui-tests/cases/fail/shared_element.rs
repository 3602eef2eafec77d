//! Shared memory has plain numbers as its elements.

use loky::shared::SharedSlice;

loky::main! {
    fn main() {
        let _ = SharedSlice::from_slice(&["text"]);
    }
}
