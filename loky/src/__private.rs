//! The names that the expansions of the macros use. They are no part of the public contract: each version of the macros has a
//! module of its own.

/// The names that the macros of this version use.
pub mod v1 {
    #[cfg(not(any(loky_force_inventory, all(windows, target_env = "gnu"))))]
    pub use {crate::registry::ENTRIES, linkme};
    #[cfg(any(loky_force_inventory, all(windows, target_env = "gnu")))]
    pub use {crate::registry::Row, inventory};

    pub use crate::__register as register;
    pub use crate::codec::{
        Argument, BulkProbe, BySerde, CodecError, FallibleOutput, Output, ValueCodec, argument,
        fallible_output, output,
    };
    pub use crate::entry::{Entered, enter, enter_before_main};
    pub use crate::registry::ByTask;
    pub use crate::sys::init_array::Initializer;
    pub use crate::task::{
        Arguments, EncodedArgs, Failure, Item, Ran, Run, TaskEntry, item_of, refused,
    };
}

/// Puts a `static TaskEntry` into the table.
#[doc(hidden)]
#[macro_export]
#[cfg(not(any(loky_force_inventory, all(windows, target_env = "gnu"))))]
macro_rules! __register {
    ($entry:ident) => {
        const _: () = {
            use $crate::__private::v1::linkme;
            #[linkme::distributed_slice($crate::__private::v1::ENTRIES)]
            #[linkme(crate = linkme)]
            static ROW: &'static $crate::__private::v1::TaskEntry = &$entry;
        };
    };
}

/// Puts a `static TaskEntry` into the table.
#[doc(hidden)]
#[macro_export]
#[cfg(any(loky_force_inventory, all(windows, target_env = "gnu")))]
macro_rules! __register {
    ($entry:ident) => {
        $crate::__private::v1::inventory::submit! { $crate::__private::v1::Row(&$entry) }
    };
}
