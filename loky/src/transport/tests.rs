use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::stream::{Inbox, Outbox, StreamState, WorkerStream};
use crate::codec::EncodedValue;
use crate::id::Ticket;
use crate::limits::BATCH;
use crate::sys::socket::Socket;
use crate::wire::args::CallArgs;
use crate::wire::frame::Frame;
use crate::wire::message::{self, FromWorker, ToWorker};

fn call_args(args: Vec<u8>) -> CallArgs {
    EncodedValue::from(args).into()
}

#[test]
fn bytes_beyond_socket_room_arrive_later() {
    let (ours, theirs) = Socket::pair().unwrap();
    let mut outbox = Outbox::new(Arc::new(ours));
    let args: Vec<u8> = (0..4_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let mut push =
        |ticket, args: &[u8]| outbox.push(Ticket(ticket), "t", &call_args(args.to_vec()));
    push(6, &[]);
    push(7, &args);
    push(8, &[1]);
    push(9, &[2]);
    outbox.flush().unwrap();
    assert!(outbox.is_waiting(), "four megabytes do not fit into a socket");

    let reader = std::thread::spawn(move || {
        let mut end = WorkerStream::new(Arc::new(theirs));
        [(); 4].map(|()| {
            let mut frame = Frame::default();
            assert!(end.receive(&mut frame).unwrap());
            frame
        })
    });
    while outbox.is_waiting() {
        outbox.flush().unwrap();
    }
    let frames = reader.join().unwrap();
    assert_eq!(frames.each_ref().map(|frame| frame.call), [6, 7, 8, 9]);
    assert!(frames[1].body.ends_with(&args));
    assert!(frames[3].body.ends_with(&[2]));
}

#[test]
fn closed_end_fails_writes_and_ends_reads() {
    let (ours, theirs) = Socket::pair().unwrap();
    let ours = Arc::new(ours);
    WorkerStream::new(Arc::new(theirs)).send(&message::call(Ticket(1), "t", &[])[..20]).unwrap();
    let mut inbox = Inbox::new(Arc::clone(&ours));
    assert_eq!(inbox.receive(true), Ok(StreamState::Open));
    assert_eq!(inbox.receive(true), Ok(StreamState::Closed));
    assert!(inbox.next_frame().is_none());
    assert!(inbox.is_inside_frame(), "twenty bytes of a header");
    let mut outbox = Outbox::new(ours);
    outbox.push(Ticket(1), "t", &call_args(Vec::new()));
    assert!(outbox.flush().is_err() && !outbox.is_waiting());
}

#[test]
fn rest_of_frame_to_closed_end_fails() {
    let (ours, theirs) = Socket::pair().unwrap();
    let mut outbox = Outbox::new(Arc::new(ours));
    outbox.push(Ticket(1), "t", &call_args(vec![0; 4_000_000]));
    outbox.flush().unwrap();
    assert!(outbox.is_waiting(), "half of it");
    drop(theirs);
    assert!(outbox.flush().is_err());
    outbox.push(Ticket(2), "t", &call_args(Vec::new()));
    assert!(outbox.flush().is_err() && !outbox.is_waiting());
}

/// Returns a value with `n_bytes` bytes and `n_descriptors` descriptors.
fn value(n_bytes: usize, n_descriptors: usize) -> EncodedValue {
    let fd = || OwnedFd::from(File::open("/dev/null").unwrap());
    let attachments = std::iter::repeat_with(fd).take(n_descriptors).collect();
    EncodedValue { bytes: vec![7; n_bytes], attachments }
}

/// The lengths of arguments and results, and their numbers of descriptors.
const SHAPES: [(usize, usize); 8] = [
    (0, 0),
    (10, 1),
    (1_000_000, 1),
    (10, BATCH),
    (10, BATCH + 1),
    (0, 3 * BATCH),
    (1_000_000, 2 * BATCH + 1),
    (10, 0),
];

#[test]
fn descriptors_reach_worker_with_their_frames() {
    let (ours, theirs) = Socket::pair().unwrap();
    let mut outbox = Outbox::new(Arc::new(ours));
    for (ticket, (n_bytes, n_descriptors)) in (0..).zip(SHAPES) {
        outbox.push(Ticket(ticket), "t", &value(n_bytes, n_descriptors).into());
    }
    let reader = std::thread::spawn(move || {
        let mut end = WorkerStream::new(Arc::new(theirs));
        SHAPES.map(|_| {
            let mut frame = Frame::default();
            assert!(end.receive(&mut frame).unwrap());
            frame
        })
    });
    while outbox.is_waiting() {
        outbox.flush().unwrap();
    }
    let frames = reader.join().unwrap();
    check(&frames, |frame| match ToWorker::parse(frame) {
        Ok(ToWorker::Call { task: "t", args, .. }) => args,
        other => panic!("{other:?}"),
    });
}

#[test]
fn descriptors_reach_pool_with_their_frames() {
    let (ours, theirs) = Socket::pair().unwrap();
    let writer = std::thread::spawn(move || {
        let end = WorkerStream::new(Arc::new(theirs));
        for (ticket, (n_bytes, n_descriptors)) in (0..).zip(SHAPES) {
            let EncodedValue { bytes, attachments } = value(n_bytes, n_descriptors);
            let mut frame = EncodedValue { bytes: Vec::new(), attachments };
            FromWorker::begin_result(&mut frame, Ticket(ticket));
            frame.bytes.extend_from_slice(&bytes);
            message::finish_result(&mut frame);
            end.send_with(&frame).unwrap();
        }
    });
    let mut inbox = Inbox::new(Arc::new(ours));
    while inbox.receive(true) == Ok(StreamState::Open) {}
    writer.join().unwrap();
    let frames: Vec<_> = std::iter::from_fn(|| inbox.next_frame()).collect();
    check(&frames, |frame| &frame.body);
}

#[track_caller]
fn check(frames: &[Frame], encoded: impl Fn(&Frame) -> &[u8]) {
    assert_eq!(frames.len(), SHAPES.len());
    for ((ticket, frame), (n_bytes, n_descriptors)) in (0..).zip(frames).zip(SHAPES) {
        assert_eq!((frame.call, encoded(frame)), (ticket, &*vec![7; n_bytes]));
        let attachments = frame.attachments.as_ref().unwrap();
        assert_eq!(usize::from(attachments.count()), n_descriptors);
    }
}
