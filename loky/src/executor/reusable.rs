//! The executor that the whole process shares: found or made, resized, replaced.
//!
//! There is one at a time; a forked child begins without one. The lock is held to compare settings and to put one in the place of
//! another, never while something is waited for or code of the user's runs.
//!
//! ```text
//!  get:  none ──────────────────────────────────────────▶ made
//!        open, of equal settings or Reuse::Yes ─────────▶ the same; resized, if its size differs
//!        broken, of other settings, or Reuse::No ───────▶ another is made, and the old one let go: it ends with its last
//!                                                         handle, or at once by `kill_workers`
//!        shut down: is forgotten when that happens
//! ```
//!
//! Tested in the package `tests`.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::builder::Builder;
use super::{Handle, ProcessPoolExecutor};
use crate::config::Settings;
use crate::cpu_count;
use crate::error::Result;
use crate::limits;
use crate::observer::ObserverId;
use crate::scheduler::Shutdown;
use crate::sys::fork_guard::PerProcess;

/// Whether [`ReusableBuilder::get`] may give back the executor that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reuse {
    /// If it has the same settings, but for [`max_workers`](Builder::max_workers), which is changed. Initializers are the same if
    /// task and encoded arguments are, observers if they are of one builder's clones.
    #[default]
    Auto,
    /// Whatever its settings are: of those that are asked for none counts but `max_workers`, if that is given.
    Yes,
    /// Never.
    No,
}

/// Settings for the executor that the whole process shares: see [`reusable_executor`].
pub type ReusableBuilder = Builder<Reusable>;

/// Marks the [`Builder`] of the reusable executor, and holds what only that has.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Reusable {
    reuse: Reuse,
    kill_workers: bool,
}

/// The executor that the whole process shares, with [`cpu_count`](crate::cpu_count()) workers and every other setting at its
/// default. Python loky's function of this name.
///
/// ```
/// #[loky::task]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let executor = loky::get_reusable_executor()?;
///         assert_eq!(executor.submit(square, 12).result()?, 144);
///         assert_eq!(loky::get_reusable_executor()?.id(), executor.id());
///         Ok(())
///     }
/// }
/// ```
///
/// # Errors
/// As [`ReusableBuilder::get`].
pub fn get_reusable_executor() -> Result<ProcessPoolExecutor> {
    reusable_executor().get()
}

/// Asks for the executor that the whole process shares, with settings of one's own.
///
/// Its workers leave when they have had nothing to do for 10 s, unless [`idle_timeout`](Builder::idle_timeout) says otherwise. It stays
/// when the last handle goes; the end of [`main!`](crate::main) finishes what it has accepted.
///
/// ```
/// use std::time::Duration;
///
/// loky::main! {
///     fn main() -> loky::Result<()> {
///         let two = || loky::reusable_executor().max_workers(2).idle_timeout(Duration::from_secs(2));
///         let executor = two().get()?;
///         let same = two().max_workers(3).get()?; // Resized.
///         assert_eq!((same.id(), executor.max_workers()), (executor.id(), 3));
///         let other = two().env("MODE", "fast").get()?; // Other settings: another executor.
///         assert_ne!(other.id(), executor.id());
///         assert!(!executor.is_shutdown()); // As long as somebody holds it.
///         Ok(())
///     }
/// }
/// ```
pub fn reusable_executor() -> ReusableBuilder {
    let kind = Reusable { reuse: Reuse::Auto, kill_workers: false };
    Builder::with(kind, Some(limits::REUSABLE_IDLE))
}

impl ReusableBuilder {
    /// Whether the executor that is there may be given back. Default: [`Reuse::Auto`].
    pub fn reuse(mut self, reuse: Reuse) -> Self {
        self.kind.reuse = reuse;
        self
    }

    /// Whether an executor that is replaced is ended at once, with [`Shutdown::Kill`]: its unfinished and later calls fail with
    /// [`ShutdownExecutor`](crate::ErrorKind::ShutdownExecutor). Default: no, it goes on for as long as somebody holds a handle
    /// of it, and finishes what it has accepted.
    pub fn kill_workers(mut self, kill_workers: bool) -> Self {
        self.kind.kill_workers = kill_workers;
        self
    }

    /// The executor that the whole process shares: the one that is there, resized if need be, or a new one in its place.
    ///
    /// It is replaced if it is broken or was shut down, or if [`reuse`](Self::reuse) says so. Nothing is waited for but the end
    /// of one that [is to be killed](Self::kill_workers). When nothing has changed it takes no system call (but to find out where a
    /// relative path leads), and less than a microsecond: the default for `max_workers` is the number of CPUs that was found the
    /// first time.
    ///
    /// A handle is good for as long as it is held: an executor that was replaced goes on serving those who hold it.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn get(self) -> Result<ProcessPoolExecutor> {
        let Reusable { reuse, kill_workers } = self.kind;
        let asked_for = self.max_workers;
        let max_workers = match asked_for {
            Some(max_workers) => max_workers,
            None => cpu_count_at_start()?,
        };
        let settings = self.checked(max_workers)?;
        loop {
            let mut slot = slot();
            let there = slot.as_ref().filter(|there| there.may_be_given(reuse, &settings));
            if let Some(executor) = there.map(Current::executor) {
                drop(slot);
                let keeps_size = reuse == Reuse::Yes && asked_for.is_none();
                if keeps_size || executor.max_workers() == max_workers {
                    return Ok(executor);
                }
                if executor.resize(max_workers).is_ok() {
                    return Ok(executor);
                }
                // It has come to its end meanwhile, which is not waited for.
                Handle::release(executor.handle);
                continue;
            }
            // With an error the settings go, and with them perhaps things of the user's: after the lock.
            let new = Current::new(&settings)?;
            let executor = new.executor();
            let old = slot.replace(new);
            drop(slot);
            if let Some(old) = old {
                old.replaced(executor.id(), kill_workers);
            }
            return Ok(executor);
        }
    }
}

/// The number of CPUs when somebody first asked.
fn cpu_count_at_start() -> Result<usize> {
    static COUNT: OnceLock<usize> = OnceLock::new();
    match COUNT.get() {
        Some(count) => Ok(*count),
        None => cpu_count::checked().map(|count| *COUNT.get_or_init(|| count)),
    }
}

/// The executor that is there.
struct Current {
    handle: Arc<Handle>,
    /// What it was made by, but for the number of workers; and the observer only in so far as it can be told from others, or it
    /// would outlive the executor.
    settings: Settings,
    observer: Option<ObserverId>,
}

fn slot() -> MutexGuard<'static, Option<Current>> {
    static SLOT: PerProcess<Mutex<Option<Current>>> = PerProcess::new();
    SLOT.get().lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is one that the process shares.
pub(crate) fn is_one_shared() -> bool {
    slot().is_some()
}

impl Current {
    fn new(settings: &Settings) -> Result<Self> {
        let handle = settings.clone().build()?.handle;
        let observer = settings.observer.as_ref().map(|observer| observer.id());
        Ok(Self { handle, settings: Settings { observer: None, ..settings.clone() }, observer })
    }

    fn executor(&self) -> ProcessPoolExecutor {
        ProcessPoolExecutor { handle: Arc::clone(&self.handle) }
    }

    fn may_be_given(&self, reuse: Reuse, settings: &Settings) -> bool {
        let is_fit = match reuse {
            Reuse::Auto => self.has(settings),
            Reuse::Yes => true,
            Reuse::No => false,
        };
        is_fit && self.handle.pool.is_open()
    }

    /// Whether it was made by these settings.
    fn has(&self, settings: &Settings) -> bool {
        let observer = settings.observer.as_ref().map(|observer| observer.id());
        self.observer == observer && self.settings.are_same_but_for_size(settings)
    }

    /// Lets it go, since the executor with this id has come in its place.
    fn replaced(self, by: u64, kill_workers: bool) {
        self.handle.pool.replaced(by);
        if kill_workers {
            self.handle.pool.shutdown(Shutdown::Kill);
        }
        Handle::release(self.handle);
    }
}

/// An executor is shut down: if it is the one that is there, it is that no more.
pub(super) fn forget(handle: &Arc<Handle>) {
    let is_it = |current: &mut Current| Arc::ptr_eq(&current.handle, handle);
    let forgotten = slot().take_if(is_it);
    // The caller has another handle, so this is not the last.
    drop(forgotten);
}
