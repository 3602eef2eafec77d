use super::frame::{Decoder, Frame};
use super::message::{
    self, CallFailure, FromWorker, Hello, Setup, ToWorker, VERSION, finish_result,
};
use super::*;
use crate::error::PanicReport;
use crate::id::{Fingerprint, Ticket};
use crate::random::Random;
use crate::sys::image::Image;

/// Puts `bytes` together from pieces, and says whether they are frames.
fn decode(bytes: &[u8], mut piece: impl FnMut() -> usize) -> Result<Vec<Frame>, WireError> {
    let mut decoder = Decoder::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
        decoder.feed(now)?;
        rest = later;
    }
    Ok(std::iter::from_fn(|| decoder.next_frame()).collect())
}

fn from_worker() -> Vec<FromWorker> {
    let fingerprint = Fingerprint { count: 3, hash: 4 };
    let image = Image { device: 1, inode: 2, size_bytes: 3 };
    let table =
        Some(vec![("a".to_owned(), "() -> ()".to_owned()), (String::new(), "ä".to_owned())]);
    let report = PanicReport {
        message: "boom".to_owned(),
        location: Some("a.rs:1:2".to_owned()),
        backtrace: None,
        worker_pid: 7,
    };
    vec![
        FromWorker::Hello(Box::new(Hello { version: VERSION, image, fingerprint, table })),
        FromWorker::Hello(Box::new(Hello { version: 9, image, fingerprint, table: None })),
        FromWorker::Refuse("no".to_owned()),
        FromWorker::Skipped(Ticket(1)),
        FromWorker::Result(Ticket(2), vec![1, 2, 3]),
        FromWorker::Result(Ticket(u64::MAX), Vec::new()),
        FromWorker::Failed(Ticket(3), CallFailure::Panicked(Box::new(report))),
        FromWorker::Failed(Ticket(4), CallFailure::DecodeArgs("x".to_owned())),
        FromWorker::Failed(Ticket(5), CallFailure::EncodeResult("y".to_owned())),
        FromWorker::Failed(Ticket(6), CallFailure::UnknownTask),
        FromWorker::Outgrown,
        FromWorker::Lingering,
        FromWorker::Initializing,
    ]
}

#[test]
fn every_message_comes_back_from_pieces_of_any_size() {
    let messages = from_worker();
    let bytes: Vec<u8> = messages.iter().flat_map(FromWorker::to_bytes).collect();
    for size in [1, 2, 23, 24, 25, 1000] {
        let frames = decode(&bytes, || size).unwrap();
        let back: Vec<_> =
            frames.into_iter().map(|frame| FromWorker::parse(frame).unwrap()).collect();
        assert_eq!(back, messages, "in pieces of {size}");
    }

    let setup = Setup {
        uses_lane: true,
        version: VERSION,
        index: 3,
        depth: 1,
        memory_growth_limit: u64::MAX,
        fingerprint: Fingerprint { count: 1, hash: 2 },
    };
    let call = message::call(Ticket(8), "geo.add", &[9, 9]);
    let frames = decode(&[setup.to_bytes(), call].concat(), || 5).unwrap();
    assert_eq!(ToWorker::parse(&frames[0]), Ok(ToWorker::Setup(setup)));
    let expected = ToWorker::Call { ticket: Ticket(8), task: "geo.add", args: &[9, 9] };
    assert_eq!(ToWorker::parse(&frames[1]), Ok(expected));
}

#[test]
fn a_result_can_be_written_in_place() {
    let mut bytes = Vec::new();
    FromWorker::begin_result(&mut bytes, Ticket(2));
    bytes.extend_from_slice(&[1, 2, 3]);
    finish_result(&mut bytes);
    assert_eq!(bytes, FromWorker::Result(Ticket(2), vec![1, 2, 3]).to_bytes());
}

#[test]
fn another_version_is_told_apart_whatever_follows_it() {
    let mut bytes = Setup { version: VERSION + 1, ..Setup::default() }.to_bytes();
    bytes.truncate(bytes.len() - 8);
    let length = (bytes.len() - 24) as u64;
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    let frames = decode(&bytes, || 100).unwrap();
    assert!(
        matches!(ToWorker::parse(&frames[0]), Ok(ToWorker::Setup(setup)) if setup.version == VERSION + 1)
    );
}

#[test]
fn what_is_no_message_is_an_error() {
    let printed = b"hello from println, which strayed into the channel\n";
    assert_eq!(decode(printed, || 7), Err(WireError("bytes that begin no message")));

    let mut long = FromWorker::Skipped(Ticket(1)).to_bytes();
    long[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(decode(&long, || 24), Err(WireError("a message that is longer than any may be")));

    let unknown = Frame { kind: 99, call: 0, body: Vec::new() };
    assert!(FromWorker::parse(unknown.clone()).is_err() && ToWorker::parse(&unknown).is_err());
}

#[test]
fn an_announced_body_gets_memory_only_for_what_arrives() {
    let mut header = FromWorker::Result(Ticket(1), Vec::new()).to_bytes();
    header[16..24].copy_from_slice(&(crate::limits::MAX_BODY_BYTES).to_le_bytes());
    let mut decoder = Decoder::default();
    decoder.feed(&header).unwrap(); // A terabyte: it would not come back from an attempt to reserve it.
    decoder.feed(&[0; 1000]).unwrap();
    assert!(decoder.is_inside_frame() && decoder.next_frame().is_none());
}

/// Random bytes, truncations and flipped bytes: whatever comes, it is frames or an error, and a frame is a message or an
/// error. That nothing panics is the point.
#[test]
fn fuzz_the_decoder() {
    let mut random = Random::new(1);
    let valid: Vec<u8> = from_worker().iter().flat_map(FromWorker::to_bytes).collect();
    let mut parsed = 0_u32;
    let mut refused = 0_u32;
    for round in 0..30_000 {
        let mut bytes = match round % 3 {
            0 => (0..random.below(200)).map(|_| random.next().to_le_bytes()[0]).collect(),
            1 => valid[..random.below(valid.len())].to_vec(),
            _ => valid.clone(),
        };
        for _ in 0..random.below(4) {
            if !bytes.is_empty() {
                let at = random.below(bytes.len());
                bytes[at] ^= random.next().to_le_bytes()[0];
            }
        }
        match decode(&bytes, || random.below(64)) {
            Err(_) => refused += 1,
            Ok(frames) => {
                for frame in frames {
                    let _ = ToWorker::parse(&frame);
                    match FromWorker::parse(frame) {
                        Ok(_) => parsed += 1,
                        Err(_) => refused += 1,
                    }
                }
            }
        }
    }
    assert!(parsed > 10_000 && refused > 10_000, "both happen often: {parsed}, {refused}");
}

/// Bodies of every kind with random contents: here the frame is whole, and only what it means is rubbish.
#[test]
fn fuzz_the_messages() {
    let mut random = Random::new(42);
    for _ in 0..100_000 {
        let body = (0..random.below(80)).map(|_| (random.next() % 5).to_le_bytes()[0]).collect();
        let kind = [1, 2, 17, 18, 19, 20, 21][random.below(7)];
        let frame = Frame { kind, call: random.next(), body };
        let _ = ToWorker::parse(&frame);
        let _ = FromWorker::parse(frame);
    }
}
