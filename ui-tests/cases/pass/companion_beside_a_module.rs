//! A module and a task of one name: the companion can have another.

mod images {
    pub(crate) mod resize {
        pub(crate) const HALF: u8 = 2;
    }

    #[loky::task(companion = "resize_task")]
    pub(crate) fn resize(by: u8) -> u8 {
        by / resize::HALF
    }
}

use images::{resize, resize_task};

fn main() {
    assert_eq!(resize(4 * resize::HALF), 4);
    assert!(resize_task::TASK.name().ends_with("::images::resize"));
    assert_eq!(resize_task::call(1).task().name(), resize_task::TASK.name());
}
