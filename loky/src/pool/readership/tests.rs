use super::*;
use crate::clock;

fn quiet() -> Readership<u8> {
    let mut readership = Readership::new(clock::now(), 7);
    readership.rest();
    readership
}

#[test]
fn submitted_call_leaves_its_answer_to_a_waiting_thread() {
    let mut readership = quiet();
    readership.read_in_background();
    readership.leave_unread(clock::now());
    assert!(readership.unread_since().is_some() && readership.take_as_background().is_none());
    assert!(readership.take_as_waiter().is_some());
}

/// Otherwise each such answer would lie unread until the pool thread looks, and its worker would have nothing to do.
#[test]
fn call_that_an_answer_has_brought_keeps_the_background_as_reader() {
    let mut readership = quiet();
    readership.read_in_background();
    let inbox = readership.take_as_background();
    readership.leave_unread(clock::now());
    assert!(!readership.give_back(clock::now(), inbox.unwrap()));
    assert!(readership.is_background() && readership.unread_since().is_none());
}

#[test]
fn one_thread_reads_at_a_time_and_the_pool_thread_is_told() {
    let mut readership = quiet();
    let inbox = readership.take_as_waiter().unwrap();
    assert!(readership.take_as_waiter().is_none() && readership.take_as_background().is_none());
    assert!(readership.take_for_good().is_none());
    assert!(readership.give_back(clock::now(), inbox), "it is waited for");
    assert!(readership.take_for_good().is_some());
}
