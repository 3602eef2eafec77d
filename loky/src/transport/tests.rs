use super::stream::{Inbox, Outbox, Progress, WorkerStream};
use super::*;
use crate::id::CallId;
use crate::sys::socket::Socket;
use crate::wire::message;
use std::sync::Arc;

#[test]
fn what_does_not_fit_waits_and_arrives_whole() {
    let (ours, theirs) = Socket::pair().unwrap();
    let mut outbox = Outbox::new(Arc::new(ours));
    let args: Vec<u8> = (0..4_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    outbox.send(Arc::new(message::call(CallId(7), "t", &args))).unwrap();
    outbox.send(Arc::new(message::call(CallId(8), "t", &[]))).unwrap();
    assert!(outbox.is_waiting(), "four megabytes do not fit into a socket");

    let reader = std::thread::spawn(move || {
        let mut end = WorkerStream::new(Arc::new(theirs));
        [end.receive().unwrap().unwrap(), end.receive().unwrap().unwrap()]
    });
    while outbox.is_waiting() {
        outbox.flush().unwrap();
    }
    let [first, second] = reader.join().unwrap();
    assert_eq!((first.call, second.call), (7, 8));
    assert!(first.body.ends_with(&args));
}

#[test]
fn a_closed_end_is_an_error_for_the_writer_and_the_end_for_the_reader() {
    let (ours, theirs) = Socket::pair().unwrap();
    let ours = Arc::new(ours);
    WorkerStream::new(Arc::new(theirs)).send(&message::call(CallId(1), "t", &[])[..20]).unwrap();
    let mut inbox = Inbox::new(Arc::clone(&ours));
    let mut buffer = [0; 1024];
    assert_eq!(inbox.receive(&mut buffer), Ok(Progress::Closed));
    assert!(inbox.next_frame().is_none());
    assert!(inbox.is_inside_frame(), "twenty bytes of a header");
    assert!(Outbox::new(ours).send(Arc::new(vec![0])).is_err());
}
