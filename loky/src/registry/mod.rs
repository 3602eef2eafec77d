//! The link-time table of tasks.
//!
//! `#[loky::task]` adds a row, and the linker joins the rows of all crates that the program mentions. The keys are the name of a
//! task and the type of its function item. The address of a function is never a key, since identical functions may share one.
//!
//! The table is read on first use. In a worker under test support that is before `main`, when all constructors have run. Tested
//! in the packages `tests` and `ui-tests`, which have tasks to find.

mod builtin;
mod into_task;

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::OnceLock;

pub use self::into_task::{ByTask, IntoTask};

use crate::error::{Error, ErrorKind, Result};
use crate::id::Fingerprint;
use crate::task::TaskEntry;

/// The rows, in the linker's order.
#[cfg(not(any(loky_force_inventory, all(windows, target_env = "gnu"))))]
#[doc(hidden)]
#[linkme::distributed_slice]
pub static ENTRIES: [&'static TaskEntry];

/// A row, on platforms where constructors collect them.
#[cfg(any(loky_force_inventory, all(windows, target_env = "gnu")))]
#[doc(hidden)]
#[derive(Debug)]
pub struct Row(pub &'static TaskEntry);

#[cfg(any(loky_force_inventory, all(windows, target_env = "gnu")))]
inventory::collect!(Row);

fn rows() -> impl Iterator<Item = &'static TaskEntry> {
    #[cfg(not(any(loky_force_inventory, all(windows, target_env = "gnu"))))]
    return ENTRIES.iter().copied();
    #[cfg(any(loky_force_inventory, all(windows, target_env = "gnu")))]
    return inventory::iter::<Row>.into_iter().map(|row| row.0);
}

/// The table, sorted and searchable.
#[derive(Debug)]
pub(crate) struct Table {
    /// By name.
    sorted: Vec<&'static TaskEntry>,
    by_name: HashMap<&'static str, &'static TaskEntry>,
    by_item: HashMap<TypeId, &'static TaskEntry, BuildHasherDefault<ItemHasher>>,
    fingerprint: Fingerprint,
}

/// Passes the hash of a `TypeId` on: the id is a hash already.
#[derive(Clone, Copy, Debug, Default)]
struct ItemHasher(u64);

impl Hasher for ItemHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(8) ^ number;
    }
}

impl Table {
    pub(crate) fn get() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| {
            let mut sorted: Vec<_> = rows().collect();
            sorted.sort_by_key(|entry| (entry.name(), entry.file, entry.line));
            Self {
                by_name: sorted.iter().map(|entry| (entry.name(), *entry)).collect(),
                by_item: sorted.iter().map(|entry| ((entry.item)().id, *entry)).collect(),
                fingerprint: fingerprint(&sorted),
                sorted,
            }
        })
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&'static TaskEntry> {
        self.by_name.get(name).copied()
    }

    fn by_item(&self, id: TypeId) -> Option<&'static TaskEntry> {
        self.by_item.get(&id).copied()
    }

    /// Names and signatures, in the order of the names.
    pub(crate) fn signatures(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        self.sorted.iter().map(|entry| (entry.name(), entry.signature))
    }

    /// Rejects a table with two tasks of one name.
    pub(crate) fn check(&self) -> Result<()> {
        let twice = self.sorted.windows(2).find(|pair| pair[0].name() == pair[1].name());
        let Some([first, second]) = twice else { return Ok(()) };
        let message = format!(
            "two tasks have the name `{}`: one at {}:{}, one at {}:{}; give one of them another with `#[loky::task(name = \"…\")]`",
            first.name(),
            first.file,
            first.line,
            second.file,
            second.line
        );
        Err(Error::new(ErrorKind::DuplicateTask, message).with_task(first.name()))
    }
}

/// The hash is FNV-1a, 64 bits. Unlike the hash of std, it is equal in all builds.
fn fingerprint(sorted: &[&TaskEntry]) -> Fingerprint {
    let texts = sorted.iter().flat_map(|entry| [entry.name(), entry.signature]);
    let bytes = texts.flat_map(|text| text.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Fingerprint { count: sorted.len() as u64, hash }
}

/// Returns all tasks of this program.
///
/// ```
/// #[loky::task(name = "geo.add")]
/// fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
/// let info = loky::registry().get("geo.add").unwrap();
/// assert_eq!(info.signature(), "(u64, u64) -> u64");
/// assert!(loky::registry().iter().any(|task| task.name() == "geo.add"));
/// ```
#[must_use]
pub fn registry() -> Registry {
    Registry { table: Table::get() }
}

/// The tasks of a program, by name. [`registry`] returns it and has an example.
#[derive(Clone, Copy)]
pub struct Registry {
    table: &'static Table,
}

impl Registry {
    /// Returns the tasks in the order of their names.
    ///
    /// ```
    /// let names: Vec<_> = loky::registry().iter().map(|task| task.name()).collect();
    /// assert!(names.is_sorted() && names.contains(&"loky.ping"));
    /// ```
    pub fn iter(&self) -> impl ExactSizeIterator<Item = TaskInfo> + use<> {
        self.table.sorted.iter().map(|entry| TaskInfo { entry })
    }

    /// Returns the task of this name.
    ///
    /// ```
    /// assert!(loky::registry().get("loky.ping").is_some());
    /// assert!(loky::registry().get("no.such.task").is_none());
    /// ```
    #[must_use]
    pub fn get(&self, name: &str) -> Option<TaskInfo> {
        self.table.by_name(name).map(|entry| TaskInfo { entry })
    }
}

impl IntoIterator for Registry {
    type Item = TaskInfo;
    type IntoIter = std::vec::IntoIter<TaskInfo>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter().collect::<Vec<_>>().into_iter()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A registered task, as [`registry`] lists it.
///
/// ```
/// #[loky::task(name = "geo.area")]
/// fn area(width: f64, height: f64) -> f64 {
///     width * height
/// }
///
/// let info = loky::registry().get("geo.area").unwrap();
/// assert_eq!(info.name(), "geo.area");
/// assert_eq!(info.signature(), "(f64, f64) -> f64");
/// println!("{} is at {}:{}", info.name(), info.file(), info.line());
/// ```
#[derive(Clone, Copy)]
pub struct TaskInfo {
    entry: &'static TaskEntry,
}

impl TaskInfo {
    /// Returns the registered name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.entry.name()
    }

    /// Returns the types of the arguments and the result, as the source writes them.
    #[must_use]
    pub fn signature(&self) -> &'static str {
        self.entry.signature
    }

    /// Returns the source file of the function.
    #[must_use]
    pub fn file(&self) -> &'static str {
        self.entry.file
    }

    /// Returns the line of the function's name in that file.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.entry.line
    }
}

impl fmt::Debug for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskInfo")
            .field("name", &self.name())
            .field("signature", &self.signature())
            .field("file", &self.file())
            .field("line", &self.line())
            .finish()
    }
}

/// Panics unless tasks of all these names are registered.
///
/// The linker drops a crate that the program never mentions. A program that calls tasks by name finds that out at its start.
///
/// ```
/// #[loky::task(name = "geo.perimeter")]
/// fn perimeter(width: f64, height: f64) -> f64 {
///     2.0 * (width + height)
/// }
///
/// loky::assert_registered(&["geo.perimeter"]);
/// ```
///
/// # Panics
/// If a task is missing. The message names all missing ones.
#[track_caller]
pub fn assert_registered(names: &[&str]) {
    let table = Table::get();
    let missing: Vec<_> = names.iter().filter(|name| table.by_name(name).is_none()).collect();
    assert!(
        missing.is_empty(),
        "no task is registered as {missing:?}; a crate that the program never mentions is not linked: `use that_crate as _;`"
    );
}
