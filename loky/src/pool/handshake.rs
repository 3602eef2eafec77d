//! The handshake: what a new worker is told, and whether the process that answers is a worker of this program.

use std::collections::HashMap;

use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::registry::Table;
use crate::segments;
use crate::sys::image::Image;
use crate::wire::message::{Hello, Setup, VERSION};
use crate::worker;

/// The first message to the worker with this index, in a pool of at most `max_workers`.
pub(super) fn setup(
    settings: &Settings,
    index: usize,
    max_workers: usize,
    uses_lane: bool,
) -> Setup {
    let segments = u32::try_from(segments::per_worker(max_workers)).unwrap_or(u32::MAX);
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let (depth, fingerprint) = (worker::depth() + 1, Table::get().fingerprint());
    let memory_growth_limit = settings.memory_growth_limit.in_bytes();
    Setup { version: VERSION, index, depth, memory_growth_limit, uses_lane, segments, fingerprint }
}

/// Compares the worker's program with this one.
///
/// A worker may have other tasks than this process. A task that both have must have one signature.
///
/// # Errors
/// [`ErrorKind::Handshake`] if the worker's protocol, image or tasks do not fit.
pub(super) fn check(settings: &Settings, hello: &Hello) -> Result<()> {
    let failed = |message: String| Err(Error::new(ErrorKind::Handshake, message));
    let subject = match &settings.worker_exe {
        Some(path) => format!("worker `{}`", path.display()),
        None => "worker".to_owned(),
    };
    if hello.version != VERSION {
        return failed(format!(
            "{subject} has protocol version {}, this process {VERSION}: build both with one version of loky",
            hello.version
        ));
    }
    if settings.worker_exe.is_none() && hello.image != Image::current() {
        return failed(format!("{subject} runs another program image than this process"));
    }
    let table = Table::get();
    if hello.fingerprint == table.fingerprint() {
        return Ok(());
    }
    let Some(theirs) = &hello.table else {
        return failed(format!(
            "{subject} has other tasks than this process, and sent no list of them"
        ));
    };
    let theirs: HashMap<_, _> =
        theirs.iter().map(|(name, signature)| (name.as_str(), signature.as_str())).collect();
    for (name, ours) in table.signatures() {
        if let Some(theirs) = theirs.get(name)
            && *theirs != ours
        {
            return failed(format!(
                "{subject} has the task `{name}` as `{theirs}`, this process as `{ours}`"
            ));
        }
    }
    Ok(())
}
