use std::time::Duration;

use super::frame::{self, CutOff, Decoder, Frame};
use super::message::{
    self, CallFailure, FromWorker, Hello, Setup, ToWorker, VERSION, finish_result,
};
use super::*;
use crate::codec::{Attachments, EncodedValue};
use crate::error::PanicReport;
use crate::id::{Fingerprint, Ticket};
use crate::limits::BATCH;
use crate::sys::image::Image;
use crate::sys::socket::Batch;
use fastrand::Rng;

/// Decodes `bytes` in pieces of the lengths that `piece` returns.
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
        FromWorker::Begun(Ticket(1)),
        FromWorker::Returned(Ticket(1), Duration::from_micros(5)),
        FromWorker::Result(Ticket(2), vec![1, 2, 3].into()),
        FromWorker::Result(Ticket(u64::MAX), EncodedValue::default()),
        FromWorker::Failed(Ticket(3), CallFailure::Panicked(Box::new(report))),
        FromWorker::Failed(Ticket(4), CallFailure::DecodeArgs("x".to_owned())),
        FromWorker::Failed(Ticket(5), CallFailure::EncodeResult("y".to_owned())),
        FromWorker::Failed(Ticket(6), CallFailure::UnknownTask),
        FromWorker::Failed(Ticket(7), CallFailure::ArgsCutOff),
        FromWorker::Failed(Ticket(8), CallFailure::ResultCutOff),
        FromWorker::Outgrown,
        FromWorker::Lingering,
        FromWorker::Initializing,
    ]
}

#[test]
fn messages_survive_pieces_of_any_size() {
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
        segments: 8,
        version: VERSION,
        index: 3,
        depth: 1,
        memory_growth_limit: u64::MAX,
        fingerprint: Fingerprint { count: 1, hash: 2 },
    };
    let call = message::call(Ticket(8), "geo.add", &[9, 9]);
    let mut bytes = [setup.to_bytes(), call].concat();
    message::put_chunk(&mut bytes, Ticket(9), "geo.add", &[8]);
    message::put_not_received(&mut bytes, Ticket(7));
    let frames = decode(&bytes, || 5).unwrap();
    assert_eq!(ToWorker::parse(&frames[0]), Ok(ToWorker::Setup(setup)));
    let expected = ToWorker::Call { ticket: Ticket(8), task: "geo.add", args: &[9, 9] };
    assert_eq!(ToWorker::parse(&frames[1]), Ok(expected));
    let expected = ToWorker::Chunk { ticket: Ticket(9), task: "geo.add", items: &[8] };
    assert_eq!(ToWorker::parse(&frames[2]), Ok(expected));
    assert_eq!(ToWorker::parse(&frames[3]), Ok(ToWorker::NotReceived(Ticket(7))));
}

#[test]
fn result_written_in_place_is_whole() {
    let mut frame = EncodedValue::default();
    FromWorker::begin_result(&mut frame, Ticket(2));
    frame.bytes.extend_from_slice(&[1, 2, 3]);
    finish_result(&mut frame);
    assert_eq!(frame.bytes, FromWorker::Result(Ticket(2), vec![1, 2, 3].into()).to_bytes());
}

#[test]
fn setup_of_other_version_is_recognized() {
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
fn garbage_is_error() {
    let printed = b"hello from println, which strayed into the channel\n";
    assert_eq!(decode(printed, || 7), Err(WireError("bytes begin no message")));

    let mut long = FromWorker::Begun(Ticket(1)).to_bytes();
    long[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(decode(&long, || 24), Err(WireError("message is longer than the limit")));

    let unknown =
        Frame { kind: 99, call: 0, body: Vec::new(), attachments: Ok(Attachments::new()) };
    assert!(FromWorker::parse(unknown.clone()).is_err() && ToWorker::parse(&unknown).is_err());
}

#[test]
fn announced_body_takes_memory_as_it_arrives() {
    let mut header = FromWorker::Result(Ticket(1), EncodedValue::default()).to_bytes();
    header[16..24].copy_from_slice(&(crate::limits::MAX_BODY_BYTES).to_le_bytes());
    let mut decoder = Decoder::default();
    decoder.feed(&header).unwrap(); // A terabyte, which could not be reserved.
    decoder.feed(&[0; 1000]).unwrap();
    assert!(decoder.is_inside_frame() && decoder.next_frame().is_none());
}

/// Returns a batch of `n_descriptors` descriptors.
fn batch(n_descriptors: usize, is_cut_off: bool) -> Batch {
    let fd = || std::fs::File::open("/dev/null").unwrap().into();
    Batch { fds: std::iter::repeat_with(fd).take(n_descriptors).collect(), is_cut_off }
}

/// Decodes a result that announces `announced` descriptors, and a plain result behind it. The `batches` come with the bytes of the
/// first.
#[track_caller]
fn with_batches(announced: u16, batches: &[(usize, bool)]) -> Result<Vec<FromWorker>, WireError> {
    let mut bytes = FromWorker::Result(Ticket(1), vec![1; 2].into()).to_bytes();
    frame::set_descriptors(&mut bytes, announced);
    let next = FromWorker::Result(Ticket(2), vec![2; 2].into()).to_bytes();
    let mut decoder = Decoder::default();
    decoder.feed_with(batch(0, false), &FromWorker::Begun(Ticket(3)).to_bytes()[..20])?;
    let mut rest = &FromWorker::Begun(Ticket(3)).to_bytes()[20..];
    for (n_descriptors, is_cut_off) in batches {
        // The first batch comes with the end of the message before it.
        let piece = [rest, &bytes[..1]].concat();
        decoder.feed_with(batch(*n_descriptors, *is_cut_off), &piece)?;
        bytes.remove(0);
        rest = &[];
    }
    decoder.feed(rest)?;
    decoder.feed(&[bytes, next].concat())?;
    let frames = std::iter::from_fn(|| decoder.next_frame());
    frames.map(FromWorker::parse).collect()
}

#[test]
fn descriptors_belong_to_announcing_frame() {
    for (announced, batches) in [
        (0, &[][..]),
        (1, &[(1, false)]),
        (253, &[(253, false)]),
        (300, &[(253, false), (47, false)]),
    ] {
        let received = with_batches(announced, batches).unwrap();
        let [_, FromWorker::Result(_, first), FromWorker::Result(_, second)] = &received[..] else {
            panic!("{received:?}")
        };
        assert_eq!(first.attachments.count(), announced);
        assert!(second.attachments.is_empty());
    }
}

#[test]
fn dropped_descriptors_fail_their_frame() {
    let cut = |announced, batches| {
        let received = with_batches(announced, batches).unwrap();
        assert_eq!(received[1], FromWorker::Failed(Ticket(1), CallFailure::ResultCutOff));
        assert_eq!(received[2], FromWorker::Result(Ticket(2), vec![2; 2].into()));
    };
    cut(1, &[(0, true)]);
    cut(5, &[(3, true)]);
    cut(300, &[(253, false), (46, true)]);
    cut(300, &[(100, true), (47, false)]);
}

#[test]
fn unannounced_or_missing_descriptors_are_errors() {
    for (announced, batches) in [
        (0, &[(1, false)][..]),
        (1, &[]),
        (1, &[(2, false)]),
        (2, &[(1, false)]),
        (2, &[(1, false), (1, false)]),
        (300, &[(253, false)]),
        (300, &[(253, false), (46, false)]),
        (300, &[(253, false), (47, false), (1, false)]),
    ] {
        let error = with_batches(announced, batches).unwrap_err();
        assert!(error.0.contains("descriptors"), "{announced} {batches:?}: {error}");
    }
    let useless = Frame {
        kind: 19,
        call: 1,
        body: Vec::new(),
        attachments: Ok(batch(1, false).fds.into_iter().collect()),
    };
    assert!(FromWorker::parse(useless.clone()).is_err());
    assert!(FromWorker::parse(Frame { attachments: Err(CutOff), ..useless }).is_err());
}

/// Otherwise descriptors that belong to no frame would pile up.
#[test]
fn descriptors_between_frames_are_error_at_once() {
    let mut decoder = Decoder::default();
    let bytes = FromWorker::Result(Ticket(1), vec![0; 100].into()).to_bytes();
    decoder.feed(&bytes[..50]).unwrap();
    assert!(decoder.feed_with(batch(BATCH, false), &bytes[50..51]).is_err());
    let mut decoder = Decoder::default();
    assert!(decoder.feed_with(batch(1, false), &FromWorker::Begun(Ticket(1)).to_bytes()).is_err());
}

/// Random bytes, truncations and flipped bytes: each input is frames or an error, each frame a message or an error, and nothing
/// panics.
#[test]
fn fuzz_decoder() {
    let mut random = Rng::with_seed(1);
    let valid: Vec<u8> = from_worker().iter().flat_map(FromWorker::to_bytes).collect();
    let mut parsed = 0_u32;
    let mut rejected = 0_u32;
    for round in 0..30_000 {
        let mut bytes = match round % 3 {
            0 => (0..random.usize(..200)).map(|_| random.u8(..)).collect(),
            1 => valid[..random.usize(..valid.len())].to_vec(),
            _ => valid.clone(),
        };
        for _ in 0..random.usize(..4) {
            if !bytes.is_empty() {
                let at = random.usize(..bytes.len());
                bytes[at] ^= random.u8(..);
            }
        }
        match decode(&bytes, || random.usize(..64)) {
            Err(_) => rejected += 1,
            Ok(frames) => {
                for frame in frames {
                    let _ = ToWorker::parse(&frame);
                    match FromWorker::parse(frame) {
                        Ok(_) => parsed += 1,
                        Err(_) => rejected += 1,
                    }
                }
            }
        }
    }
    assert!(parsed > 10_000 && rejected > 10_000, "both happen often: {parsed}, {rejected}");
}

/// Whole frames of every kind with random bodies.
#[test]
fn fuzz_messages() {
    let mut random = Rng::with_seed(42);
    for _ in 0..100_000 {
        let body = (0..random.usize(..80)).map(|_| random.u8(..5)).collect();
        let kind = [1, 2, 3, 4, 17, 18, 19, 20, 21, 27][random.usize(..10)];
        let frame = Frame { kind, call: random.u64(..), body, attachments: Ok(Attachments::new()) };
        let _ = ToWorker::parse(&frame);
        let _ = FromWorker::parse(frame);
    }
}
