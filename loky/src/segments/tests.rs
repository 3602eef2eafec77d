use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::limits::{KEPT_SEGMENT_BYTES, KEPT_SEGMENTS, MAX_SEGMENTS, SEGMENT_BYTES, SEGMENT_IDLE};
use crate::sys::poll::PollSet;

fn wake() -> Arc<Wake> {
    Arc::new(Wake::new().unwrap())
}

/// Whether the visiting thread was woken since the last call of this.
fn is_woken(segments: &Segments) -> bool {
    let wake = &segments.shared.wake;
    let mut set = PollSet::default();
    let place = set.add(wake.as_fd(), true, false);
    let now = clock::now();
    set.wait(now, Some(now)).unwrap();
    let is_woken = set.readable(place);
    wake.clear();
    is_woken
}

/// Visits, and returns the time of the next visit.
fn visit(segments: &Segments, now: Instant) -> Option<Instant> {
    segments.visit(now).1
}

fn n_kept(segments: &Segments) -> usize {
    segments.shared.lock().n_kept()
}

/// The identity of a segment: its descriptor, while that is open.
fn id_of(lease: &SegmentLease) -> i32 {
    lease.fd().as_raw_fd()
}

#[track_caller]
fn read(lease: &SegmentLease, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    segment_memory::read(lease.fd().as_fd(), length, &mut bytes).unwrap();
    bytes
}

const LATER: Duration = Duration::from_secs(1000);

/// The call with whose result segments are sent.
const CALL: Ticket = Ticket(65);

#[test]
fn short_value_gets_no_segment() {
    let segments = Segments::of_pool(wake());
    assert!(segments.put(&[]).is_none());
    assert!(segments.put(&[0; SEGMENT_BYTES - 1]).is_none());
    let lease = segments.put(&[1; SEGMENT_BYTES]).unwrap();
    assert_eq!(read(&lease, SEGMENT_BYTES), [1; SEGMENT_BYTES]);
}

#[test]
fn free_segment_of_fitting_size_is_reused() {
    let segments = Segments::of_pool(wake());
    let sizes = [1, 2, 4, 5, 9].map(|times| times * SEGMENT_BYTES);
    let mut leases = sizes.map(|size| Some(segments.put(&vec![7; size]).unwrap()));
    let ids = leases.each_ref().map(|lease| id_of(lease.as_ref().unwrap()));
    let put = |times: usize| segments.put(&vec![8; times * SEGMENT_BYTES]).unwrap();
    leases[3] = None;
    assert_ne!(id_of(&put(1)), ids[3], "eight times as large");
    // The segment of the last line is free too.
    assert_eq!(id_of(&put(2)), ids[3], "four times as large");
    leases[1] = None;
    leases[2] = None;
    let lease = put(2);
    assert_eq!(id_of(&lease), ids[1], "the best");
    assert_eq!(read(&lease, 2 * SEGMENT_BYTES), vec![8; 2 * SEGMENT_BYTES]);
    assert_eq!(id_of(&put(3)), ids[2]);
    drop(lease);
}

#[test]
fn last_used_of_equal_segments_is_reused() {
    let segments = Segments::of_pool(wake());
    let [first, second] = [0; 2].map(|_| segments.put(&[0; SEGMENT_BYTES]).unwrap());
    let last = id_of(&first);
    drop(second);
    drop(first);
    assert_eq!(id_of(&segments.put(&[0; SEGMENT_BYTES]).unwrap()), last, "it is warm");
}

#[test]
fn segments_on_lease_are_limited() {
    let segments = Segments::new(Release::Implied, wake(), 3);
    let put = || segments.put(&[0; SEGMENT_BYTES]);
    let mut leases: Vec<_> = std::iter::repeat_with(put).take(5).collect();
    assert_eq!(leases.iter().flatten().count(), 3);
    leases.remove(0);
    assert!(put().is_some(), "its lease ends at once");
    segments.allow(0);
    assert!(put().is_none());
    assert!(at_most() <= MAX_SEGMENTS);
    assert_eq!((per_worker(0), per_worker(1 << 15)), (per_worker(1), 0));
}

#[test]
fn sent_segment_is_reused_after_receiver_drops_it() {
    let segments = Segments::of_worker(wake());
    assert!(segments.put(&[0; SEGMENT_BYTES]).is_none(), "nothing is allowed yet");
    segments.allow(2);
    let put = || segments.put(&[0; SEGMENT_BYTES]);
    let unsent = put().unwrap();
    let first = id_of(&unsent);
    drop(unsent);
    let sent = put().unwrap();
    assert_eq!(id_of(&sent), first, "it was not sent");
    sent.set_out(CALL);
    let received = ReceivedFd::new(sent.fd().try_clone().unwrap());
    drop(sent);
    let other = put().unwrap();
    assert_ne!(id_of(&other), first);
    other.set_out(CALL);
    drop(other);
    assert!(put().is_none(), "both are out");
    drop(received);
    assert_eq!(id_of(&put().unwrap()), first);
}

#[test]
fn segment_that_did_not_arrive_is_freed() {
    let segments = Segments::of_worker(wake());
    segments.allow(3);
    let leases = [1, 2, 2].map(|call| {
        let lease = segments.put(&[0; SEGMENT_BYTES]).unwrap();
        lease.set_out(Ticket(call));
        lease
    });
    let received = ReceivedFd::new(leases[0].fd().try_clone().unwrap());
    drop(leases);
    segments.not_received(Ticket(2));
    visit(&segments, clock::now() + LATER);
    assert_eq!(n_kept(&segments), 1, "the one that arrived");
    assert!(segments.put(&[0; SEGMENT_BYTES]).is_none(), "it would not arrive either");
    drop(received);
    visit(&segments, clock::now() + LATER);
    assert_eq!(n_kept(&segments), 0);
}

#[test]
fn visits_happen_while_segments_are_idle_only() {
    let segments = Segments::of_pool(wake());
    let start = clock::now();
    assert_eq!(visit(&segments, start), None);
    drop(segments.put(&[0; SEGMENT_BYTES]));
    assert!(is_woken(&segments), "no visit was due");
    let at = visit(&segments, clock::now()).unwrap();
    assert!(at >= start + SEGMENT_IDLE);
    drop(segments.put(&[0; SEGMENT_BYTES]));
    assert!(!is_woken(&segments), "a visit is due");
    let later = visit(&segments, at).unwrap();
    assert!(later > at, "it was used again");
    assert_eq!(visit(&segments, later), None);
    assert!(n_kept(&segments) == 0);
    drop(segments.put(&[0; SEGMENT_BYTES]));
    assert!(is_woken(&segments));
}

#[test]
fn excess_segments_are_freed_at_once() {
    let segments = Segments::of_pool(wake());
    let put = || segments.put(&[0; SEGMENT_BYTES]).unwrap();
    let n = KEPT_SEGMENTS + 3;
    let leases: Vec<_> = std::iter::repeat_with(put).take(n).collect();
    leases.into_iter().take(KEPT_SEGMENTS).for_each(drop);
    let start: Instant = clock::now();
    assert!(is_woken(&segments) && visit(&segments, start).unwrap() > start);
    let leases: Vec<_> = std::iter::repeat_with(put).take(n).collect();
    drop(leases);
    assert!(is_woken(&segments), "earlier than that");
    visit(&segments, start);
    assert_eq!(n_kept(&segments), KEPT_SEGMENTS);
}

#[test]
fn kept_memory_is_limited() {
    let segments = Segments::of_pool(wake());
    let large = vec![0; KEPT_SEGMENT_BYTES / 2 + 1];
    let [first, second] = [0; 2].map(|_| segments.put(&large).unwrap());
    drop(first);
    visit(&segments, clock::now());
    assert_eq!(n_kept(&segments), 1);
    drop(second);
    assert!(is_woken(&segments));
    visit(&segments, clock::now());
    assert_eq!(n_kept(&segments), 1, "the last one");
}

#[test]
fn long_held_segment_is_checked_less_often() {
    let segments = Segments::of_worker(wake());
    segments.allow(1);
    let lease = segments.put(&[0; SEGMENT_BYTES]).unwrap();
    lease.set_out(CALL);
    let received = ReceivedFd::new(lease.fd().try_clone().unwrap());
    drop(lease);
    let late = clock::now() + LATER;
    let next = visit(&segments, late).unwrap();
    assert!(next > late + LATER / 2);
    drop(received);
    assert_eq!(visit(&segments, late), None);
}

#[test]
fn ended_pool_lends_and_keeps_nothing() {
    let segments = Segments::of_pool(wake());
    let [first, second] = [0; 2].map(|_| segments.put(&[0; SEGMENT_BYTES]).unwrap());
    segments.close();
    assert!(segments.put(&[0; SEGMENT_BYTES]).is_none());
    drop(first);
    assert!(is_woken(&segments));
    let now = clock::now();
    assert_eq!((visit(&segments, now), n_kept(&segments)), (None, 0));
    segments.end();
    drop(second);
    assert!(!is_woken(&segments) && n_kept(&segments) == 0);
}
