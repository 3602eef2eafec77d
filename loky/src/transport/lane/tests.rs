//! Both sides of a lane, in two threads of this process.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::pool_side::PoolLane;
use super::worker_side::{Next, WorkerLane};
use crate::clock;
use crate::id::{CallId, Ticket};
use crate::limits::{SLOT_FRAME_BYTES, SLOTS};
use crate::transport::page::{Page, SlotFrame};
use crate::transport::slots::table::{SlotTable, Step};
use crate::transport::words::slot::Claim;
use fastrand::Rng;

const KIND: u8 = 7;
const RAN: Duration = Duration::from_micros(1);

/// The pool's side.
struct Pool {
    lane: PoolLane,
    slots: SlotTable,
    n_given: u64,
    /// The numbers of the answered calls.
    answered: Vec<u64>,
    n_skipped: u64,
}

fn pair() -> (Pool, WorkerLane) {
    let (ours, fd) = Page::create().unwrap();
    let ours = Arc::new(ours);
    let slots = SlotTable::new(Arc::clone(&ours));
    let lane = PoolLane::new(ours);
    let pool = Pool { lane, slots, n_given: 0, answered: Vec::new(), n_skipped: 0 };
    (pool, WorkerLane::new(Page::open(fd.as_fd()).unwrap()))
}

/// Returns the frame of a call.
fn body(number: u64) -> Vec<u8> {
    let length = [0, 1, 9, 100, 300, 4000, SLOT_FRAME_BYTES][usize::try_from(number % 7).unwrap()];
    vec![number.to_le_bytes()[0]; length]
}

impl Pool {
    fn give(&mut self) -> Ticket {
        self.n_given += 1;
        let ticket = self.slots.take(CallId::nth(self.n_given)).unwrap();
        assert!(self.lane.write(ticket, (KIND, &body(self.n_given))));
        self.slots.publish(ticket);
        ticket
    }

    /// Takes in all answers.
    fn drain(&mut self) {
        while let Some(step) = self.slots.step().unwrap() {
            let Step::Answered(ticket) = step else {
                self.n_skipped += 1;
                continue;
            };
            let frame = self.lane.frame(ticket).unwrap();
            let SlotFrame::Here { kind: KIND, length } = frame else { panic!("{frame:?}") };
            let mut answer = Vec::new();
            self.lane.read(ticket, length, &mut answer);
            let (call, ran) = self.slots.answered(ticket).unwrap();
            assert_eq!((answer, ran), (body(call.number), RAN));
            self.answered.push(call.number);
        }
    }

    fn wait(&self, wanted: Ticket, spins: bool) {
        // Nothing takes that long here, so a lost wake-up shows as a missed deadline.
        let late = clock::deadline(Some(Duration::from_secs(60)));
        self.lane.wait(wanted, self.lane.disturbances(), late, spins);
        assert!(late.is_some_and(|late| clock::now() < late), "no wake-up came");
    }
}

/// A worker that sends each frame back, until there is an order.
fn echo(mut lane: WorkerLane) {
    loop {
        let ticket = match lane.wait() {
            Next::Call(ticket) => ticket,
            Next::Order => return,
            Next::Nothing => panic!("it has waited"),
        };
        let frame = lane.frame(ticket).unwrap();
        let SlotFrame::Here { kind, length } = frame else { panic!("{frame:?}") };
        let mut body = Vec::new();
        lane.read(ticket, length, &mut body);
        if lane.claim(ticket, || panic!("no reader polls")).unwrap() == Claim::Run {
            assert!(lane.answer(ticket, RAN, Some((kind, &body)), || panic!("no reader polls")));
        }
    }
}

#[test]
fn calls_are_answered_in_order_without_lost_wake_ups() {
    let (mut pool, lane) = pair();
    let worker = thread::spawn(move || echo(lane));
    let mut random = Rng::with_seed(5);
    while pool.n_given < 20_000 {
        let room = SLOTS - pool.slots.count() as usize;
        let burst = 1 + random.usize(..room.min(8));
        let tickets: Vec<_> = (0..burst).map(|_| pool.give()).collect();
        pool.lane.wake_worker();
        let wanted = tickets[random.usize(..burst)];
        let revoked = tickets[random.usize(..burst)];
        if random.usize(..10) == 0 && revoked != wanted {
            pool.slots.revoke(revoked).unwrap();
        }
        while !pool.lane.is_settled(wanted) {
            pool.wait(wanted, random.bool());
        }
        pool.drain();
    }
    pool.lane.order();
    worker.join().unwrap();
    pool.drain();
    assert!(pool.slots.is_empty() && pool.answered.is_sorted());
    assert_eq!(pool.answered.len() as u64 + pool.n_skipped, pool.n_given);
}

#[test]
fn long_frames_go_over_stream() {
    let too_long = (KIND, &[0; SLOT_FRAME_BYTES + 1][..]);
    let (mut pool, mut lane) = pair();
    for answer in [Some(too_long), None] {
        let ticket = pool.slots.take(CallId::nth(1)).unwrap();
        assert!(!pool.lane.write(ticket, too_long));
        pool.slots.publish(ticket);
        assert_eq!(lane.wait(), Next::Call(ticket));
        assert_eq!(lane.frame(ticket), Ok(SlotFrame::OnStream));
        assert_eq!(lane.claim(ticket, || ()), Ok(Claim::Run));
        pool.lane.write(ticket, (KIND, &[]));
        assert!(!lane.answer(ticket, RAN, answer, || ()));
        assert_eq!(pool.slots.step(), Ok(Some(Step::Answered(ticket))));
        assert_eq!(pool.lane.frame(ticket), Ok(SlotFrame::OnStream));
        pool.slots.answered(ticket).unwrap();
    }
}

#[test]
fn reader_in_poll_is_woken_once() {
    let (mut pool, mut lane) = pair();
    let tickets = [(); 3].map(|()| pool.give());
    assert!(pool.lane.may_poll(tickets[1]));
    let wake_ups = std::cell::Cell::new(0);
    for (ticket, expected) in tickets.into_iter().zip([0, 1, 1]) {
        let wake_poller = || wake_ups.set(wake_ups.get() + 1);
        lane.claim(ticket, wake_poller).unwrap();
        lane.answer(ticket, RAN, Some((KIND, &[])), wake_poller);
        assert_eq!(wake_ups.get(), expected);
    }
    assert!(!pool.lane.may_poll(tickets[2]), "it is there");
}

#[test]
fn disturbed_reader_comes_back() {
    let (mut pool, _lane) = pair();
    let ticket = pool.give();
    let seen = pool.lane.disturbances();
    let other = pool.lane.clone();
    let disturber = thread::spawn(move || other.disturb());
    pool.lane.wait(ticket, seen, None, false);
    disturber.join().unwrap();
    pool.lane.wait(ticket, seen, None, false); // Also behind the disturbance.
}

/// The pool repairs its own words, and a worker that missed a call finds it.
#[test]
fn overwritten_sequence_is_written_again() {
    let (mut pool, lane) = pair();
    let ticket = pool.give();
    let stray = pool.lane.clone();
    stray.page_of_tests().sequence(1).store(0, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(lane.next(), Next::Nothing);
    pool.slots.publish_order();
    pool.lane.shake_worker();
    assert_eq!(lane.next(), Next::Call(ticket));
}

/// The disturbing thread holds no lock. Another reader may sleep in poll by then.
#[test]
fn disturbance_of_another_reader_leaves_poll_wake_up() {
    let (mut pool, mut lane) = pair();
    let ticket = pool.give();
    assert!(pool.lane.may_poll(ticket));
    pool.lane.disturb();
    let wake_ups = std::cell::Cell::new(0);
    let wake_poller = || wake_ups.set(wake_ups.get() + 1);
    lane.claim(ticket, wake_poller).unwrap();
    lane.answer(ticket, RAN, Some((KIND, &[])), wake_poller);
    assert_eq!(wake_ups.get(), 1);
}
