//! The call loop: a message comes in, its answer goes out.

use std::io;

use crate::clock;
use crate::codec::{Attachments, CodecError, Parcel};
use crate::id::Ticket;
use crate::limits;
use crate::registry::Table;
use crate::segments::Segments;
use crate::sys::image::Image;
use crate::sys::{fork_guard, startup};
use crate::task::{Failure, Run};
use crate::transport::WorkerEnd;
use crate::transport::slots::Claim;
use crate::wire::frame::{CutOff, Frame};
use crate::wire::message::{self, CallFailure, FromWorker, Hello, Setup, ToWorker, VERSION};

use super::memory::MemoryWatch;
use super::{panics, place};

/// Serves until the pool has no more to say. Long results lie in these segments.
///
/// # Errors
/// The channel is broken.
pub(super) fn serve(end: &mut impl WorkerEnd, segments: &Segments) -> io::Result<()> {
    let mut frame = Frame::default();
    let mut answer = Parcel::default();
    let mut memory = MemoryWatch::new(u64::MAX);
    while end.receive(&mut frame)? {
        let attachments = std::mem::replace(&mut frame.attachments, Ok(Attachments::new()));
        let message = ToWorker::parse(&frame)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.0))?;
        let mut returned_at = None;
        match message {
            ToWorker::Setup(setup) => {
                place::set(setup.depth, setup.index);
                memory = MemoryWatch::new(setup.memory_growth_limit);
                segments.allow(setup.segments as usize);
                if let Err(error) = end.open_page(setup.uses_lane) {
                    let reason = format!("the worker cannot map its page: {error}");
                    return end.send(&FromWorker::Refuse(reason).to_bytes());
                }
                greet(end, &setup)?;
            }
            ToWorker::Call { ticket: Ticket::INITIALIZER, task, args } => {
                end.send(&FromWorker::Initializing.to_bytes())?;
                run(Ticket::INITIALIZER, task, args, attachments, &mut answer, segments);
                end.send_parcel(&answer)?;
            }
            ToWorker::Call { ticket, task, args } => {
                if end.claim(ticket)? == Claim::Skip {
                    continue;
                }
                let start = clock::now();
                run(ticket, task, args, attachments, &mut answer, segments);
                let ran = start.elapsed();
                end.answer(ticket, ran, &answer)?;
                returned_at = Some(start + ran);
            }
        }
        answer.attachments = Attachments::new();
        for bytes in [&mut frame.body, &mut answer.bytes] {
            bytes.clear();
            bytes.shrink_to(limits::ANSWER_KEEP_BYTES);
        }
        if returned_at.is_some_and(|now| memory.has_outgrown(now)) {
            end.send(&FromWorker::Outgrown.to_bytes())?;
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
    end.send(&FromWorker::Hello(Box::new(hello)).to_bytes())
}

/// Runs one call, and leaves the whole answer in `answer`.
fn run(
    ticket: Ticket,
    task: &str,
    args: &[u8],
    attachments: Result<Attachments, CutOff>,
    answer: &mut Parcel,
    segments: &Segments,
) {
    let pid = fork_guard::current_pid();
    FromWorker::begin_result(answer, ticket);
    let ran = match (Table::get().by_name(task), attachments) {
        (None, _) => Err(CallFailure::UnknownTask),
        (_, Err(CutOff)) => Err(CallFailure::ArgsCutOff),
        (Some(entry), Ok(attachments)) => {
            let run = Run::new(args, attachments, answer, Some(segments));
            panics::watched(|| (entry.run)(run)).map_err(told)
        }
    };
    if fork_guard::current_pid() != pid {
        // A child that the task forked off, and that has come back from it as well: the call is not its.
        startup::exit_at_once(0);
    }
    match ran {
        Ok(()) => {
            answer.attachments.set_out();
            message::finish_result(answer);
        }
        Err(failure) => *answer = FromWorker::Failed(ticket, failure).to_bytes().into(),
    }
}

/// The failure as it is told to the pool.
fn told(failure: Failure) -> CallFailure {
    match failure {
        Failure::DecodeArgs(CodecError(text)) => CallFailure::DecodeArgs(text),
        Failure::EncodeResult(CodecError(text)) => CallFailure::EncodeResult(text),
        Failure::Panicked(payload) => CallFailure::Panicked(Box::new(panics::report(payload))),
    }
}
