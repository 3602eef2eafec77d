//! The executor that the whole process shares: found or created, resized, replaced.
//!
//! A process has at most one at a time. A forked child begins without one. The lock is held to compare settings and to replace
//! the executor. It is never held while a thread waits or code of the user runs.
//!
//! ```text
//!  get:  none ──────────────────────────────────────────▶ a new executor
//!        open, of equal settings or Reuse::Yes ─────────▶ this executor, resized if its size differs
//!        broken, of other settings, or Reuse::No ───────▶ a new executor; the old one ends with its last handle, or at once
//!                                                         by `kill_workers`
//!        shutdown of the executor ──────────────────────▶ none
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

/// The condition under which [`ReusableBuilder::get`] returns the present executor.
///
/// ```
/// use loky::{Reuse, reusable_executor};
///
/// #[loky::entry]
/// fn main() -> loky::Result<()> {
///     let executor = reusable_executor().max_workers(2).env("MODE", "fast").get()?;
///     let any = reusable_executor().reuse(Reuse::Yes).get()?;
///     assert_eq!((any.id(), any.max_workers()), (executor.id(), 2));
///     assert_ne!(reusable_executor().reuse(Reuse::No).get()?.id(), executor.id());
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reuse {
    /// Its settings are equal. It is resized if only [`max_workers`](Builder::max_workers) differs. Initializers are equal if
    /// their tasks and encoded arguments are. Observers are equal if one builder is a clone of the other's.
    #[default]
    Auto,
    /// It exists. Only `max_workers` counts, if the builder sets it.
    Yes,
    /// Never: each `get` creates an executor.
    No,
}

/// The builder of the executor that the whole process shares: see [`reusable_executor`].
pub type ReusableBuilder = Builder<Reusable>;

/// Marks the [`Builder`] of the reusable executor, and holds the settings that only it has.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Reusable {
    reuse: Reuse,
    kill_workers: bool,
}

/// Returns the executor that the whole process shares, with [`cpu_count`](crate::cpu_count()) workers and default settings.
///
/// It has the meaning of Python loky's function of this name. Python loky 3.7 has one executor for each thread; here all threads
/// share one.
///
/// ```
/// #[loky::task]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// #[loky::entry]
/// fn main() -> loky::Result<()> {
///     let executor = loky::get_reusable_executor()?;
///     assert_eq!(executor.submit(square, 12).result()?, 144);
///     assert_eq!(loky::get_reusable_executor()?.id(), executor.id());
///     Ok(())
/// }
/// ```
///
/// # Errors
/// The errors of [`ReusableBuilder::get`].
pub fn get_reusable_executor() -> Result<ProcessPoolExecutor> {
    reusable_executor().get()
}

/// Returns a builder for the executor that the whole process shares.
///
/// Workers exit after 10 s of idleness, unless [`idle_timeout`](Builder::idle_timeout) changes that. The executor outlives its
/// handles. The end of a `main` with an [`entry`](macro@crate::entry) finishes its accepted calls.
///
/// ```
/// use std::time::Duration;
///
/// #[loky::entry]
/// fn main() -> loky::Result<()> {
///     let two = || loky::reusable_executor().max_workers(2).idle_timeout(Duration::from_secs(2));
///     let executor = two().get()?;
///     let same = two().max_workers(3).get()?; // Resized.
///     assert_eq!((same.id(), executor.max_workers()), (executor.id(), 3));
///     let other = two().env("MODE", "fast").get()?; // Other settings: another executor.
///     assert_ne!(other.id(), executor.id());
///     assert!(!executor.is_shutdown()); // A handle stays good.
///     Ok(())
/// }
/// ```
pub fn reusable_executor() -> ReusableBuilder {
    let kind = Reusable { reuse: Reuse::Auto, kill_workers: false };
    Builder::with(kind, Some(limits::REUSABLE_IDLE))
}

impl ReusableBuilder {
    /// Sets the condition under which the present executor is returned. Default: [`Reuse::Auto`].
    ///
    /// ```
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let first = loky::get_reusable_executor()?;
    ///     let second = loky::reusable_executor().reuse(loky::Reuse::No).get()?;
    ///     assert_ne!(first.id(), second.id());
    ///     Ok(())
    /// }
    /// ```
    pub fn reuse(mut self, reuse: Reuse) -> Self {
        self.kind.reuse = reuse;
        self
    }

    /// Sets whether a replaced executor is killed, as by [`Shutdown::Kill`]. Default: `false`.
    ///
    /// By default a replaced executor serves its handles, and ends with the last of them. If it is killed, its unfinished and later
    /// calls fail with [`ShutdownExecutor`](crate::ErrorKind::ShutdownExecutor).
    ///
    /// ```
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let old = loky::get_reusable_executor()?;
    ///     let _new = loky::reusable_executor().env("MODE", "fast").kill_workers(true).get()?;
    ///     assert!(old.is_shutdown());
    ///     Ok(())
    /// }
    /// ```
    pub fn kill_workers(mut self, kill_workers: bool) -> Self {
        self.kind.kill_workers = kill_workers;
        self
    }

    /// Returns the executor that the whole process shares: the present one, resized if necessary, or a new one.
    ///
    /// A new one replaces it if it is broken or was shut down, or if [`reuse`](Self::reuse) requires that. The method waits only
    /// for the end of an executor that [is killed](Self::kill_workers).
    ///
    /// Created on first use. Later calls with equal settings return the executor without a system call, in less than a
    /// microsecond. Relative paths are the exception: the system resolves them. The default of `max_workers` is the number of
    /// CPUs at the first use.
    ///
    /// A handle stays good: an executor that was replaced goes on serving its handles.
    ///
    /// ```
    /// #[loky::task]
    /// fn one() -> u64 {
    ///     1
    /// }
    ///
    /// #[loky::entry]
    /// fn main() -> loky::Result<()> {
    ///     let executor = loky::reusable_executor().max_workers(1).get()?;
    ///     let resized = loky::reusable_executor().max_workers(2).get()?;
    ///     assert_eq!((resized.id(), executor.max_workers()), (executor.id(), 2));
    ///     assert_eq!(executor.submit(one, ()).result()?, 1);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// The errors of [`Builder::build`].
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
                // Another thread has ended it meanwhile. Its end is not awaited here.
                Handle::release(executor.handle);
                continue;
            }
            // An error drops the settings, which may run code of the user: after the lock.
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

/// The number of CPUs at the first use.
fn cpu_count_at_start() -> Result<usize> {
    static COUNT: OnceLock<usize> = OnceLock::new();
    match COUNT.get() {
        Some(count) => Ok(*count),
        None => cpu_count::checked().map(|count| *COUNT.get_or_init(|| count)),
    }
}

/// The present executor.
struct Current {
    handle: Arc<Handle>,
    /// Its settings, of which the number of workers does not count. The observer is kept apart by its id: a handle on it would
    /// let it outlive the executor.
    settings: Settings,
    observer: Option<ObserverId>,
}

fn slot() -> MutexGuard<'static, Option<Current>> {
    static SLOT: PerProcess<Mutex<Option<Current>>> = PerProcess::new();
    SLOT.get().lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the process has a shared executor.
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

    /// Whether its settings equal these.
    fn has(&self, settings: &Settings) -> bool {
        let observer = settings.observer.as_ref().map(|observer| observer.id());
        self.observer == observer && self.settings.are_same_but_for_size(settings)
    }

    /// Drops it, since the executor with the id `by` replaces it.
    fn replaced(self, by: u64, kill_workers: bool) {
        self.handle.pool.replaced(by);
        if kill_workers {
            self.handle.pool.shutdown(Shutdown::Kill);
        }
        Handle::release(self.handle);
    }
}

/// Notes the shutdown of an executor: if it is the present one, `get` no longer returns it.
pub(super) fn forget(handle: &Arc<Handle>) {
    let is_it = |current: &mut Current| Arc::ptr_eq(&current.handle, handle);
    let forgotten = slot().take_if(is_it);
    // Not the last handle: the caller has another.
    drop(forgotten);
}
