//! The call loop: receives a message, runs the call or batch, sends the answer.
//!
//! A call that fails never ends the loop: its failure is the answer. A broken channel and a message that cannot be parsed do end
//! it. Tested in `tests.rs` over a channel in memory.

use std::io;
use std::time::Instant;

use crate::clock;
use crate::codec::{Attachments, CodecError, EncodedValue, entries};
use crate::id::Ticket;
use crate::limits;
use crate::registry::Table;
use crate::segments::Segments;
use crate::sys::image::Image;
use crate::sys::{fork_guard, startup};
use crate::task::{Failure, Ran, Run, TaskEntry};
use crate::transport::slots::Claim;
use crate::transport::worker_end::WorkerEnd;
use crate::wire::WireError;
use crate::wire::frame::{CutOff, Frame};
use crate::wire::message::{self, CallFailure, FromWorker, Hello, Setup, ToWorker, VERSION};

use super::memory::MemoryWatch;
use super::{current_task, panics, place};

/// Serves calls until the pool closes the channel. Large results go into `segments`.
///
/// # Errors
/// The channel is broken.
pub(super) fn serve(end: &mut impl WorkerEnd, segments: &Segments) -> io::Result<()> {
    let mut frame = Frame::default();
    let mut answer = EncodedValue::default();
    let mut memory = MemoryWatch::new(u64::MAX);
    while end.receive(&mut frame)? {
        let attachments = std::mem::replace(&mut frame.attachments, Ok(Attachments::new()));
        let message = ToWorker::parse(&frame).map_err(invalid)?;
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
                end.send_with(&answer)?;
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
            ToWorker::NotReceived(ticket) => segments.not_received(ticket),
            ToWorker::Chunk { ticket, task, items } => {
                if end.claim(ticket)? == Claim::Skip {
                    continue;
                }
                returned_at = Some(run_chunk(end, ticket, task, items, &mut answer, segments)?);
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

/// Runs one call and writes the whole answer, result or failure, into `answer`.
fn run(
    ticket: Ticket,
    task: &str,
    args: &[u8],
    attachments: Result<Attachments, CutOff>,
    answer: &mut EncodedValue,
    segments: &Segments,
) {
    FromWorker::begin_result(answer, ticket);
    let ran = match (Table::get().by_name(task), attachments) {
        (None, _) => Err(CallFailure::UnknownTask),
        (_, Err(CutOff)) => Err(CallFailure::ArgsCutOff),
        (Some(entry), Ok(attachments)) => {
            run_entry(entry, args, attachments, answer, segments).map_err(to_message)
        }
    };
    match ran {
        Ok(()) => {
            answer.attachments.set_out(ticket);
            message::finish_result(answer);
        }
        Err(failure) => *answer = FromWorker::Failed(ticket, failure).to_bytes().into(),
    }
}

/// Runs one call of a task, whose result is appended to `result`.
fn run_entry(
    entry: &'static TaskEntry,
    args: &[u8],
    attachments: Attachments,
    result: &mut EncodedValue,
    segments: &Segments,
) -> Ran {
    let pid = fork_guard::current_pid();
    current_task::set(Some(entry));
    let ran = panics::watched(|| (entry.run)(Run::new(args, attachments, result, Some(segments))));
    current_task::set(None);
    if fork_guard::current_pid() != pid {
        // The task forked, and this child returned from it too. The call belongs to the parent.
        startup::exit_at_once(0);
    }
    ran
}

/// Runs the calls of a batch and sends their answers. Returns the time at which the last of them returned.
fn run_chunk(
    end: &mut impl WorkerEnd,
    ticket: Ticket,
    task: &str,
    items: &[u8],
    answers: &mut EncodedValue,
    segments: &Segments,
) -> io::Result<Instant> {
    let entry = Table::get().by_name(task);
    let mut items = items;
    let start = clock::now();
    while end.begin_item(ticket)? {
        let (item, rest) = entries::next(items).ok_or(io::ErrorKind::InvalidData)?;
        items = rest;
        let start_of_item = answers.bytes.len();
        let head = entries::begin(&mut answers.bytes);
        let ran = match entry {
            None => Err(CallFailure::UnknownTask),
            Some(entry) => run_entry(entry, item.bytes, Attachments::new(), answers, segments)
                .map_err(to_message),
        };
        if let Err(failure) = &ran {
            answers.attachments = Attachments::new();
            answers.bytes.truncate(start_of_item + entries::HEAD_BYTES);
            answers.bytes.extend_from_slice(&failure.to_bytes());
        }
        let is_short = answers.bytes.len() <= limits::SLOT_FRAME_BYTES;
        if is_short && answers.attachments.is_empty() {
            entries::finish(&mut answers.bytes, head, ran.is_err());
            if end.keep_answers(ticket, &answers.bytes, start_of_item) {
                continue;
            }
        }
        // This answer is too long for the lane, or has attachments: it goes out by itself, and the batch ends with it.
        let took = start.elapsed();
        let last = single_answer(ticket, ran, start_of_item + entries::HEAD_BYTES, answers);
        end.answer_rest(ticket, took, &last)?;
        return Ok(start + took);
    }
    let took = start.elapsed();
    end.answer_chunk(ticket, took, answers.bytes.len())?;
    Ok(start + took)
}

/// Turns the answer of one call of a batch, whose result begins at `start`, into that of a single call.
fn single_answer(
    ticket: Ticket,
    ran: Result<(), CallFailure>,
    start: usize,
    answers: &mut EncodedValue,
) -> EncodedValue {
    if let Err(failure) = ran {
        return FromWorker::Failed(ticket, failure).to_bytes().into();
    }
    let mut last = EncodedValue::default();
    FromWorker::begin_result(&mut last, ticket);
    last.bytes.extend_from_slice(&answers.bytes[start..]);
    last.attachments = std::mem::take(&mut answers.attachments);
    last.attachments.set_out(ticket);
    message::finish_result(&mut last);
    last
}

fn invalid(error: WireError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.0)
}

/// The failure in the form of its message to the pool.
fn to_message(failure: Failure) -> CallFailure {
    match failure {
        Failure::DecodeArgs(CodecError(text)) => CallFailure::DecodeArgs(text),
        Failure::EncodeResult(CodecError(text)) => CallFailure::EncodeResult(text),
        Failure::Panicked(payload) => CallFailure::Panicked(Box::new(panics::report(payload))),
    }
}
