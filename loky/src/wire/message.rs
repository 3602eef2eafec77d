//! Messages: the meaning of a frame, in each direction.

use std::time::Duration;

use super::WireError;
use super::frame::{self, CutOff, Frame};
use super::reader::{Reader, put_optional_text, put_text};
use crate::codec::{Attachments, EncodedValue};
use crate::error::PanicReport;
use crate::id::{Fingerprint, Ticket};
use crate::limits;
use crate::sys::image::Image;

/// The version of the protocol. Raised with every change of the bytes.
pub(crate) const VERSION: u32 = 8;

const SETUP: u8 = 1;
const CALL: u8 = 2;
const CHUNK: u8 = 3;
const NOT_RECEIVED: u8 = 4;
const HELLO: u8 = 17;
const REFUSE: u8 = 18;
const BEGUN: u8 = 19;
const RESULT: u8 = 20;
const FAILED: u8 = 21;
const OUTGROWN: u8 = 22;
const LINGERING: u8 = 23;
const INITIALIZING: u8 = 24;
const LANE_READY: u8 = 25;
const RETURNED: u8 = 27;

/// The kind of the frame in a slot with the answers of a batch. On the stream it means nothing.
pub(crate) const RESULTS: u8 = 26;

/// The first message to a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) version: u32,
    /// The index of the worker, below the pool's maximum. Its replacement gets that index too.
    pub(crate) index: u32,
    /// The depth of nesting: 1 for a worker of the program, 2 for a worker of that worker.
    pub(crate) depth: u32,
    /// The limit in bytes for the growth of its memory.
    pub(crate) memory_growth_limit: u64,
    /// Whether a page comes with this message, and calls come through its lane. Otherwise everything goes over the stream.
    pub(crate) uses_lane: bool,
    /// The number of its results that may be in segments at a time.
    pub(crate) segments: u32,
    pub(crate) fingerprint: Fingerprint,
}

/// The first message of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) version: u32,
    pub(crate) image: Image,
    pub(crate) fingerprint: Fingerprint,
    /// Names and signatures of its tasks, if its fingerprint is not the one of the setup.
    pub(crate) table: Option<Vec<(String, String)>>,
}

/// A message to a worker, as the worker reads it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToWorker<'a> {
    Setup(Setup),
    Call {
        ticket: Ticket,
        task: &'a str,
        args: &'a [u8],
    },
    /// A batch: calls of one task, an [entry](crate::codec::entries) each.
    Chunk {
        ticket: Ticket,
        task: &'a str,
        items: &'a [u8],
    },
    /// The attachments of this call's result have not arrived.
    NotReceived(Ticket),
}

/// A message from a worker. Most are results, so the others are boxed if they are long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromWorker {
    Hello(Box<Hello>),
    /// The process is no worker, for this reason.
    Refuse(String),
    /// A worker without a page is about to run the call.
    Begun(Ticket),
    /// A worker without a page has run the call, for this time. Its answer comes next.
    Returned(Ticket, Duration),
    Result(Ticket, EncodedValue),
    Failed(Ticket, CallFailure),
    /// The worker has begun the initializer.
    Initializing,
    /// The worker's memory has grown by more than the limit.
    Outgrown,
    /// The worker, which was told to leave, first finishes the pools of its tasks.
    Lingering,
    /// An answer is in the worker's lane. Wakes a reader in poll.
    LaneReady,
}

/// The reason why a call has no result although its worker lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallFailure {
    Panicked(Box<PanicReport>),
    DecodeArgs(String),
    EncodeResult(String),
    UnknownTask,
    /// The worker has no room for the descriptors of the arguments.
    ArgsCutOff,
    /// This process has no room for the descriptors of the result.
    ResultCutOff,
}

fn framed(kind: u8, call: u64, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    frame::begin(&mut out, kind, call);
    body(&mut out);
    frame::finish(&mut out);
    out
}

fn put_fingerprint(out: &mut Vec<u8>, fingerprint: Fingerprint) {
    out.extend_from_slice(&fingerprint.count.to_le_bytes());
    out.extend_from_slice(&fingerprint.hash.to_le_bytes());
}

fn take_fingerprint(reader: &mut Reader<'_>) -> Result<Fingerprint, WireError> {
    Ok(Fingerprint { count: reader.u64()?, hash: reader.u64()? })
}

impl Setup {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        framed(SETUP, 0, |out| {
            out.extend_from_slice(&self.version.to_le_bytes());
            out.extend_from_slice(&self.index.to_le_bytes());
            out.extend_from_slice(&self.depth.to_le_bytes());
            out.extend_from_slice(&self.memory_growth_limit.to_le_bytes());
            out.push(u8::from(self.uses_lane));
            out.extend_from_slice(&self.segments.to_le_bytes());
            put_fingerprint(out, self.fingerprint);
        })
    }
}

/// Writes the frame of a call but for its arguments. The `args_bytes` bytes of these must follow.
pub(crate) fn begin_call(out: &mut Vec<u8>, ticket: Ticket, task: &str, args_bytes: usize) {
    let start = out.len();
    frame::begin(out, CALL, ticket.0);
    put_text(out, task);
    frame::finish_before(&mut out[start..], args_bytes);
}

/// Writes the frame of a batch with these entries.
pub(crate) fn put_chunk(out: &mut Vec<u8>, ticket: Ticket, task: &str, items: &[u8]) {
    let start = out.len();
    frame::begin(out, CHUNK, ticket.0);
    put_text(out, task);
    out.extend_from_slice(items);
    frame::finish(&mut out[start..]);
}

/// Writes the frame of `NotReceived`. It belongs to no call that is to come, so the frame itself names none.
pub(crate) fn put_not_received(out: &mut Vec<u8>, ticket: Ticket) {
    let start = out.len();
    frame::begin(out, NOT_RECEIVED, Ticket::INITIALIZER.0);
    out.extend_from_slice(&ticket.0.to_le_bytes());
    frame::finish(&mut out[start..]);
}

/// Returns the answers of a batch as a frame.
#[cfg(test)]
pub(crate) fn results(ticket: Ticket, answers: &[u8]) -> Vec<u8> {
    framed(RESULTS, ticket.0, |out| out.extend_from_slice(answers))
}

/// Returns the whole frame of a call.
#[cfg(test)]
pub(crate) fn call(ticket: Ticket, task: &str, args: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    begin_call(&mut bytes, ticket, task, args.len());
    bytes.extend_from_slice(args);
    bytes
}

impl<'a> ToWorker<'a> {
    pub(crate) fn parse(frame: &'a Frame) -> Result<Self, WireError> {
        let mut reader = Reader::new(&frame.body);
        match frame.kind {
            SETUP => {
                let version = reader.u32()?;
                if version != VERSION {
                    // The rest may mean anything.
                    return Ok(Self::Setup(Setup { version, ..Setup::default() }));
                }
                let setup = Setup {
                    version,
                    index: reader.u32()?,
                    depth: reader.u32()?,
                    memory_growth_limit: reader.u64()?,
                    uses_lane: reader.u8()? == 1,
                    segments: reader.u32()?,
                    fingerprint: take_fingerprint(&mut reader)?,
                };
                reader.end()?;
                Ok(Self::Setup(setup))
            }
            CALL => {
                let task = reader.text()?;
                Ok(Self::Call { ticket: Ticket(frame.call), task, args: reader.rest() })
            }
            NOT_RECEIVED => {
                let ticket = Ticket(reader.u64()?);
                reader.end()?;
                Ok(Self::NotReceived(ticket))
            }
            CHUNK => {
                let task = reader.text()?;
                Ok(Self::Chunk { ticket: Ticket(frame.call), task, items: reader.rest() })
            }
            _ => Err(WireError("message is of an unknown kind")),
        }
    }
}

impl CallFailure {
    /// Returns the bytes of a failure in an entry of a batch's answers.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_failure(&mut out, self);
        out
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let failure = take_failure(&mut reader)?;
        reader.end()?;
        Ok(failure)
    }
}

impl FromWorker {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Hello(hello) => framed(HELLO, 0, |out| put_hello(out, hello)),
            Self::Refuse(reason) => framed(REFUSE, 0, |out| put_text(out, reason)),
            Self::Begun(ticket) => framed(BEGUN, ticket.0, |_| ()),
            Self::Returned(ticket, ran) => framed(RETURNED, ticket.0, |out| {
                let nanos = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX);
                out.extend_from_slice(&nanos.to_le_bytes());
            }),
            Self::Result(ticket, value) => {
                framed(RESULT, ticket.0, |out| out.extend_from_slice(&value.bytes))
            }
            Self::Failed(ticket, failure) => {
                framed(FAILED, ticket.0, |out| put_failure(out, failure))
            }
            Self::Outgrown => framed(OUTGROWN, 0, |_| ()),
            Self::Lingering => framed(LINGERING, 0, |_| ()),
            Self::Initializing => framed(INITIALIZING, 0, |_| ()),
            Self::LaneReady => framed(LANE_READY, 0, |_| ()),
        }
    }

    /// Starts the frame of a `Result`. The caller appends the encoded result, then calls [`finish_result`].
    pub(crate) fn begin_result(out: &mut EncodedValue, ticket: Ticket) {
        frame::begin(&mut out.bytes, RESULT, ticket.0);
    }

    pub(crate) fn parse(frame: Frame) -> Result<Self, WireError> {
        let ticket = Ticket(frame.call);
        if frame.kind == RESULT {
            return Ok(match frame.attachments {
                Ok(attachments) => {
                    Self::Result(ticket, EncodedValue { bytes: frame.body, attachments })
                }
                Err(CutOff) => Self::Failed(ticket, CallFailure::ResultCutOff),
            });
        }
        if frame.attachments != Ok(Attachments::new()) {
            return Err(WireError("descriptors came with a message that has none"));
        }
        let mut reader = Reader::new(&frame.body);
        let message = match frame.kind {
            HELLO => Self::Hello(Box::new(take_hello(&mut reader)?)),
            REFUSE => Self::Refuse(reader.text()?.to_owned()),
            BEGUN => Self::Begun(ticket),
            RETURNED => Self::Returned(ticket, Duration::from_nanos(reader.u64()?)),
            OUTGROWN => Self::Outgrown,
            LINGERING => Self::Lingering,
            INITIALIZING => Self::Initializing,
            LANE_READY => Self::LaneReady,
            FAILED => Self::Failed(ticket, take_failure(&mut reader)?),
            _ => return Err(WireError("message is of an unknown kind")),
        };
        reader.end()?;
        Ok(message)
    }
}

/// Completes the frame that [`FromWorker::begin_result`] started.
pub(crate) fn finish_result(frame: &mut EncodedValue) {
    frame::finish(&mut frame.bytes);
    frame::set_descriptors(&mut frame.bytes, frame.attachments.count());
}

fn put_hello(out: &mut Vec<u8>, hello: &Hello) {
    out.extend_from_slice(&hello.version.to_le_bytes());
    let Image { device, inode, size_bytes } = hello.image;
    for number in [device, inode, size_bytes] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    put_fingerprint(out, hello.fingerprint);
    let table = hello.table.as_deref().unwrap_or_default();
    out.push(u8::from(hello.table.is_some()));
    out.extend_from_slice(&(table.len() as u64).to_le_bytes());
    for (name, signature) in table {
        put_text(out, name);
        put_text(out, signature);
    }
}

fn take_hello(reader: &mut Reader<'_>) -> Result<Hello, WireError> {
    let version = reader.u32()?;
    let image = Image { device: reader.u64()?, inode: reader.u64()?, size_bytes: reader.u64()? };
    let fingerprint = take_fingerprint(reader)?;
    let has_table = reader.u8()? == 1;
    let length = reader.u64()?;
    if length > limits::MAX_TABLE_ENTRIES as u64 {
        return Err(WireError("table of tasks is longer than the limit"));
    }
    let mut table = Vec::new();
    for _ in 0..length {
        table.push((reader.text()?.to_owned(), reader.text()?.to_owned()));
    }
    Ok(Hello { version, image, fingerprint, table: has_table.then_some(table) })
}

fn put_failure(out: &mut Vec<u8>, failure: &CallFailure) {
    match failure {
        CallFailure::Panicked(report) => {
            out.push(0);
            out.extend_from_slice(&report.worker_pid.to_le_bytes());
            put_text(out, &report.message);
            put_optional_text(out, report.location.as_deref());
            put_optional_text(out, report.backtrace.as_deref());
        }
        CallFailure::DecodeArgs(text) => {
            out.push(1);
            put_text(out, text);
        }
        CallFailure::EncodeResult(text) => {
            out.push(2);
            put_text(out, text);
        }
        CallFailure::UnknownTask => out.push(3),
        CallFailure::ArgsCutOff => out.push(4),
        CallFailure::ResultCutOff => out.push(5),
    }
}

fn take_failure(reader: &mut Reader<'_>) -> Result<CallFailure, WireError> {
    Ok(match reader.u8()? {
        0 => CallFailure::Panicked(Box::new(PanicReport {
            worker_pid: reader.u32()?,
            message: reader.text()?.to_owned(),
            location: reader.optional_text()?,
            backtrace: reader.optional_text()?,
        })),
        1 => CallFailure::DecodeArgs(reader.text()?.to_owned()),
        2 => CallFailure::EncodeResult(reader.text()?.to_owned()),
        3 => CallFailure::UnknownTask,
        4 => CallFailure::ArgsCutOff,
        5 => CallFailure::ResultCutOff,
        _ => return Err(WireError("failure is of an unknown kind")),
    })
}
