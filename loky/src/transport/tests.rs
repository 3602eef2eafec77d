use super::stream::{Inbox, Outbox, Progress, WorkerStream};
use super::*;
use crate::codec::Attachments;
use crate::id::Ticket;
use crate::limits::BATCH;
use crate::sys::socket::Socket;
use crate::wire::frame::{self, Frame};
use crate::wire::message::{self, FromWorker};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

#[test]
fn what_does_not_fit_waits_and_arrives_whole() {
    let (ours, theirs) = Socket::pair().unwrap();
    let mut outbox = Outbox::new(Arc::new(ours));
    let args: Vec<u8> = (0..4_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let frame = |args: &[u8]| message::call(Ticket(0), "t", args).into();
    outbox.push(&frame(&[]), Ticket(6));
    outbox.push(&frame(&args), Ticket(7));
    outbox.push(&frame(&[1]), Ticket(8));
    outbox.push(&frame(&[2]), Ticket(9));
    outbox.flush().unwrap();
    assert!(outbox.is_waiting(), "four megabytes do not fit into a socket");

    let reader = std::thread::spawn(move || {
        let mut end = WorkerStream::new(Arc::new(theirs));
        [(); 4].map(|()| end.receive().unwrap().unwrap())
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
fn a_closed_end_is_an_error_for_the_writer_and_the_end_for_the_reader() {
    let (ours, theirs) = Socket::pair().unwrap();
    let ours = Arc::new(ours);
    WorkerStream::new(Arc::new(theirs)).send(&message::call(Ticket(1), "t", &[])[..20]).unwrap();
    let mut inbox = Inbox::new(Arc::clone(&ours));
    assert_eq!(inbox.receive(true), Ok(Progress::Open));
    assert_eq!(inbox.receive(true), Ok(Progress::Closed));
    assert!(inbox.next_frame().is_none());
    assert!(inbox.is_inside_frame(), "twenty bytes of a header");
    let mut outbox = Outbox::new(ours);
    outbox.push(&message::call(Ticket(1), "t", &[]).into(), Ticket(1));
    assert!(outbox.flush().is_err() && !outbox.is_waiting());
}

#[test]
fn what_comes_after_half_a_frame_to_a_closed_end_is_an_error_as_well() {
    let (ours, theirs) = Socket::pair().unwrap();
    let mut outbox = Outbox::new(Arc::new(ours));
    outbox.push(&message::call(Ticket(0), "t", &[0; 4_000_000]).into(), Ticket(1));
    outbox.flush().unwrap();
    assert!(outbox.is_waiting(), "half of it");
    drop(theirs);
    assert!(outbox.flush().is_err());
    outbox.push(&message::call(Ticket(0), "t", &[]).into(), Ticket(2));
    assert!(outbox.flush().is_err() && !outbox.is_waiting());
}

/// A frame of so many bytes with so many descriptors.
fn parcel(ticket: u64, n_bytes: usize, n_descriptors: usize) -> Parcel {
    let mut bytes = FromWorker::Result(Ticket(ticket), vec![7; n_bytes].into()).to_bytes();
    let fd = || OwnedFd::from(File::open("/dev/null").unwrap());
    let attachments: Attachments = std::iter::repeat_with(fd).take(n_descriptors).collect();
    frame::set_descriptors(&mut bytes, attachments.count());
    Parcel { bytes, attachments }
}

/// How long the frames are, and how many descriptors they have.
const PARCELS: [(usize, usize); 8] = [
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
fn descriptors_go_to_a_worker_with_their_frames() {
    let (ours, theirs) = Socket::pair().unwrap();
    let mut outbox = Outbox::new(Arc::new(ours));
    for (ticket, (n_bytes, n_descriptors)) in (0..).zip(PARCELS) {
        outbox.push(&parcel(0, n_bytes, n_descriptors).into(), Ticket(ticket));
    }
    let reader = std::thread::spawn(move || {
        let mut end = WorkerStream::new(Arc::new(theirs));
        PARCELS.map(|_| end.receive().unwrap().unwrap())
    });
    while outbox.is_waiting() {
        outbox.flush().unwrap();
    }
    check(reader.join().unwrap().into());
}

#[test]
fn descriptors_come_from_a_worker_with_their_frames() {
    let (ours, theirs) = Socket::pair().unwrap();
    let writer = std::thread::spawn(move || {
        let mut end = WorkerStream::new(Arc::new(theirs));
        for (ticket, (n_bytes, n_descriptors)) in (0..).zip(PARCELS) {
            end.send_parcel(&parcel(ticket, n_bytes, n_descriptors)).unwrap();
        }
    });
    let mut inbox = Inbox::new(Arc::new(ours));
    while inbox.receive(true) == Ok(Progress::Open) {}
    writer.join().unwrap();
    check(std::iter::from_fn(|| inbox.next_frame()).collect());
}

#[track_caller]
fn check(frames: Vec<Frame>) {
    assert_eq!(frames.len(), PARCELS.len());
    for ((ticket, frame), (n_bytes, n_descriptors)) in (0..).zip(frames).zip(PARCELS) {
        assert_eq!((frame.call, frame.body.len()), (ticket, n_bytes));
        assert_eq!(usize::from(frame.attachments.unwrap().count()), n_descriptors);
    }
}
