//! Why nothing more that a worker sends is believed.

use crate::transport::slots::PageCorrupt;

/// The fault of a worker whose page contradicts the pool's own record.
const PAGE_CORRUPT: &str = "slot page is corrupt";

/// Something that no worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) &'static str);

impl Fault {
    pub(super) fn is_page_corrupt(&self) -> bool {
        self.0 == PAGE_CORRUPT
    }
}

impl From<PageCorrupt> for Fault {
    fn from(_: PageCorrupt) -> Self {
        Self(PAGE_CORRUPT)
    }
}
