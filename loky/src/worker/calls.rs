//! The call loop: a message comes in, its answer goes out.

use std::io;

use crate::clock;
use crate::codec::CodecError;
use crate::id::Ticket;
use crate::limits;
use crate::registry::Table;
use crate::sys::image::Image;
use crate::sys::{fork_guard, startup};
use crate::task::{Failure, Run};
use crate::transport::WorkerEnd;
use crate::transport::slots::{Claim, Contradiction};
use crate::wire::message::{self, CallFailure, FromWorker, Hello, Setup, ToWorker, VERSION};

use super::{depth, panics};

/// Serves until the pool has no more to say.
///
/// # Errors
/// The channel is broken.
pub(super) fn serve(end: &mut impl WorkerEnd) -> io::Result<()> {
    let mut answer = Vec::new();
    let mut slots = None;
    while let Some(frame) = end.receive()? {
        let message = ToWorker::parse(&frame)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.0))?;
        answer.clear();
        answer.shrink_to(limits::ANSWER_KEEP_BYTES);
        match message {
            ToWorker::Setup(setup) => {
                depth::set(setup.depth);
                match end.slots() {
                    Ok(page) => slots = Some(page),
                    Err(error) => {
                        let reason = format!("the worker cannot map its slots: {error}");
                        return end.send(&FromWorker::Refuse(reason).to_bytes());
                    }
                }
                greet(end, &setup)?;
            }
            ToWorker::Call { ticket, task, args } => {
                let slots = slots.as_ref().ok_or(io::ErrorKind::InvalidData)?;
                // A task has written to what is not its own: what the page says of a call is not to be known.
                let lie = |Contradiction| io::Error::from(io::ErrorKind::InvalidData);
                if slots.claim(ticket).map_err(lie)? == Claim::Skip {
                    end.send(&FromWorker::Skipped(ticket).to_bytes())?;
                    continue;
                }
                let pid = fork_guard::current_pid();
                let start = clock::now();
                run(ticket, task, args, &mut answer);
                if fork_guard::current_pid() != pid {
                    // A child that the task forked off, and that has come back from it as well: the call is not its.
                    startup::exit_at_once(0);
                }
                slots.done(ticket, start.elapsed());
                end.send(&answer)?;
            }
        }
    }
    Ok(())
}

fn greet(end: &mut impl WorkerEnd, setup: &Setup) -> io::Result<()> {
    if let Some(program) = std::env::args_os().next() {
        let name = std::path::Path::new(&program).file_name().unwrap_or_default();
        startup::name_process(name, setup.index as usize);
    }
    let table = Table::get();
    let differs = setup.version == VERSION && setup.fingerprint != table.fingerprint();
    let hello = Hello {
        version: VERSION,
        image: Image::current(),
        fingerprint: table.fingerprint(),
        table: differs.then(|| {
            table.signatures().map(|(name, signature)| (name.into(), signature.into())).collect()
        }),
    };
    end.send(&FromWorker::Hello(hello).to_bytes())
}

/// Runs one call, and leaves the whole answer in `answer`.
fn run(ticket: Ticket, task: &str, args: &[u8], answer: &mut Vec<u8>) {
    FromWorker::begin_result(answer, ticket);
    let failure = match Table::get().by_name(task) {
        None => CallFailure::UnknownTask,
        Some(entry) => match panics::watched(|| (entry.run)(Run::new(args, answer))) {
            Ok(()) => return message::finish_result(answer),
            Err(Failure::DecodeArgs(CodecError(text))) => CallFailure::DecodeArgs(text),
            Err(Failure::EncodeResult(CodecError(text))) => CallFailure::EncodeResult(text),
            Err(Failure::Panicked(payload)) => CallFailure::Panicked(panics::report(payload)),
        },
    };
    *answer = FromWorker::Failed(ticket, failure).to_bytes();
}
