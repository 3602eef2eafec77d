//! Whether the process that says hello is a worker of this program.

use std::collections::HashMap;

use crate::config::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::registry::Table;
use crate::segments;
use crate::sys::image::Image;
use crate::wire::message::{Hello, Setup, VERSION};
use crate::worker;

/// What the worker with this index is told first, of at most so many.
pub(super) fn setup(
    settings: &Settings,
    index: usize,
    max_workers: usize,
    uses_lane: bool,
) -> Setup {
    let segments = u32::try_from(segments::per_worker(max_workers)).unwrap_or(u32::MAX);
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let (depth, fingerprint) = (worker::depth() + 1, Table::get().fingerprint());
    let memory_growth_limit = settings.memory_growth_limit.unwrap_or(u64::MAX);
    Setup { version: VERSION, index, depth, memory_growth_limit, uses_lane, segments, fingerprint }
}

/// Compares what the worker says with what this process is.
///
/// A worker may know other tasks than this process does, but where both know one it must be the same.
pub(super) fn check(settings: &Settings, hello: &Hello) -> Result<()> {
    let refused = |message: String| Err(Error::new(ErrorKind::Handshake, message));
    let subject = match &settings.worker_exe {
        Some(path) => format!("the worker `{}`", path.display()),
        None => "the worker".to_owned(),
    };
    if hello.version != VERSION {
        return refused(format!(
            "{subject} speaks version {} of the protocol, this process {VERSION}: both must be built with the same version of loky",
            hello.version
        ));
    }
    if settings.worker_exe.is_none() && hello.image != Image::current() {
        return refused(format!("{subject} runs another image than this process"));
    }
    let table = Table::get();
    if hello.fingerprint == table.fingerprint() {
        return Ok(());
    }
    let Some(theirs) = &hello.table else {
        return refused(format!("{subject} has other tasks but does not say which"));
    };
    let theirs: HashMap<_, _> =
        theirs.iter().map(|(name, signature)| (name.as_str(), signature.as_str())).collect();
    for (name, ours) in table.signatures() {
        if let Some(theirs) = theirs.get(name)
            && *theirs != ours
        {
            return refused(format!(
                "{subject} has the task `{name}` as `{theirs}`, this process as `{ours}`"
            ));
        }
    }
    Ok(())
}
