//! A row of the link-time table: constant data and two functions.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::OnceLock;

use super::{Ran, Run};

/// One row of the link-time table, written by the macro.
#[doc(hidden)]
pub struct TaskEntry {
    /// The function item.
    pub item: fn() -> Item,
    /// The name in the attribute.
    pub explicit_name: Option<&'static str>,
    /// The path without the marks of raw identifiers, set on first use.
    pub plain_path: OnceLock<&'static str>,
    /// The types of the function, as written.
    pub signature: &'static str,
    /// The file that the function stands in.
    pub file: &'static str,
    /// The line of the function's name.
    pub line: u32,
    /// Runs one call.
    pub run: fn(Run<'_>) -> Ran,
    /// The `Task` of this entry, by its type.
    pub typed: &'static (dyn Any + Send + Sync),
}

impl TaskEntry {
    /// The registered name: never empty, and without the `r#` of raw identifiers.
    pub(crate) fn name(&self) -> &'static str {
        let path = match self.explicit_name {
            Some(name) => return name,
            None => (self.item)().path,
        };
        let plain = || if path.contains("r#") { path.replace("r#", "").leak() } else { path };
        self.plain_path.get_or_init(plain)
    }
}

impl fmt::Debug for TaskEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskEntry")
            .field("name", &self.name())
            .field("signature", &self.signature)
            .finish_non_exhaustive()
    }
}

/// A function item. Its type is unique. Its path is not: two functions of one name, in two blocks of one function, share one.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The item's own type.
    pub id: TypeId,
    /// The item's path, as `std::any::type_name` gives it.
    pub path: &'static str,
}

/// Returns the type and the path of a function item.
#[doc(hidden)]
pub fn item_of<F: 'static>(_: &F) -> Item {
    Item { id: TypeId::of::<F>(), path: std::any::type_name::<F>() }
}
