mod pictures {
    #[loky::task]
    pub(crate) fn resize(by: u8) -> u8 {
        by
    }
}

mod resize {}

use pictures::resize;

fn main() {
    resize(1);
}
