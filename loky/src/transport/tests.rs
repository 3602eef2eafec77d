use super::stream::{Inbox, Outbox, Progress, WorkerStream};
use super::*;
use crate::id::Ticket;
use crate::sys::socket::Socket;
use crate::wire::message;
use std::sync::Arc;

#[test]
fn what_does_not_fit_waits_and_arrives_whole() {
    let (ours, theirs) = Socket::pair().unwrap();
    let mut outbox = Outbox::new(Arc::new(ours));
    let args: Vec<u8> = (0..4_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let mut push = |ticket, args: &[u8]| outbox.push(Ticket(ticket), "t", &args.to_vec().into());
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
    outbox.push(Ticket(1), "t", &Vec::new().into());
    assert!(outbox.flush().is_err() && !outbox.is_waiting());
}

#[test]
fn what_comes_after_half_a_frame_to_a_closed_end_is_an_error_as_well() {
    let (ours, theirs) = Socket::pair().unwrap();
    let mut outbox = Outbox::new(Arc::new(ours));
    outbox.push(Ticket(1), "t", &vec![0; 4_000_000].into());
    outbox.flush().unwrap();
    assert!(outbox.is_waiting(), "half of it");
    drop(theirs);
    assert!(outbox.flush().is_err());
    outbox.push(Ticket(2), "t", &Vec::new().into());
    assert!(outbox.flush().is_err() && !outbox.is_waiting());
}
