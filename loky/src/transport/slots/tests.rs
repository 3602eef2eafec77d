//! The slots step by step, corrupt pages, and the slot word and the batch word checked with loom.

use std::os::fd::AsFd;
use std::sync::Arc;

use super::table::{Progress, SlotTable, Step};
use super::*;
use crate::id::CallId;
use crate::limits::SLOTS;
use crate::transport::words::Word;
use crate::transport::words::slot::{answered, claim, done, look, queue, revoke};

fn pair() -> (SlotTable, Page) {
    let (ours, fd) = Page::create().unwrap();
    (SlotTable::new(Arc::new(ours)), Page::open(fd.as_fd()).unwrap())
}

fn give(table: &mut SlotTable, call: CallId) -> Ticket {
    let ticket = table.take(call).unwrap();
    table.publish(ticket);
    ticket
}

const CALL: CallId = CallId::nth(7);
const RAN: Duration = Duration::from_micros(3);

#[test]
fn call_goes_through_its_states() {
    let (mut table, page) = pair();
    for _ in 0..3 {
        let ticket = give(&mut table, CALL);
        assert_eq!(ticket.slot(), 0, "the lowest free one");
        assert_eq!(table.progress(ticket), Ok(Progress::Waiting));
        assert_eq!(page.claim(ticket), Ok(Claim::Run));
        assert_eq!(table.progress(ticket), Ok(Progress::Running));
        assert_eq!(table.revoke(ticket), Ok(false), "it has begun");
        page.done(ticket, RAN);
        assert_eq!(table.progress(ticket), Ok(Progress::Finished));
        assert_eq!(table.answered(ticket), Ok((CALL, RAN)));
        assert!(table.is_empty());
    }
}

#[test]
fn revoked_call_is_skipped() {
    let (mut table, page) = pair();
    let ticket = give(&mut table, CALL);
    assert_eq!(table.revoke(ticket), Ok(true));
    assert_eq!(table.calls().count(), 0);
    let next = give(&mut table, CallId::nth(8));
    assert_eq!(next.slot(), 1, "the slot is free only behind the worker");
    assert_eq!(table.step(), Ok(None), "not yet");
    assert_eq!(page.claim(ticket), Ok(Claim::Skip));
    assert_eq!(table.step(), Ok(Some(Step::Skipped)));
    let again = give(&mut table, CALL);
    assert_eq!((again.slot(), page.claim(ticket)), (0, Err(PageCorrupt)), "an old call");
    assert_eq!(page.claim(again), Ok(Claim::Run));
}

#[test]
fn all_slots_can_be_taken() {
    let (mut table, _page) = pair();
    let slots: Vec<_> =
        (0..SLOTS as u64).map(|i| give(&mut table, CallId::nth(i)).slot()).collect();
    assert_eq!(slots, (0..SLOTS).collect::<Vec<_>>());
    assert_eq!(table.calls().count(), SLOTS);
}

/// Answers on the stream may be read before older answers in the lane.
#[test]
fn old_answer_is_found_behind_many_calls() {
    let (mut table, page) = pair();
    let tickets: Vec<_> = (0..33).map(|i| give(&mut table, CallId::nth(i))).collect();
    for ticket in &tickets[..2] {
        assert_eq!(page.claim(*ticket), Ok(Claim::Run));
        page.done(*ticket, RAN);
    }
    assert!(table.answered(tickets[1]).is_ok());
    for i in 33..65 {
        give(&mut table, CallId::nth(i));
    }
    assert_eq!(table.oldest(), Some(tickets[0]));
    assert_eq!(table.step(), Ok(Some(Step::Answered(tickets[0]))));
}

/// Where all calls go over the stream, the pool never asks for the oldest.
#[test]
fn tickets_of_calls_that_are_over_are_dropped() {
    let (mut table, page) = pair();
    for i in 0..1000 {
        let ticket = give(&mut table, CallId::nth(i));
        page.claim(ticket).unwrap();
        page.done(ticket, RAN);
        table.answered(ticket).unwrap();
    }
    assert!(table.kept() <= SLOTS, "{}", table.kept());
}

/// A worker takes its calls in the order of dispatch, so the pool looks at the oldest only.
#[test]
fn steps_are_seen_in_order_of_dispatch() {
    let (mut table, page) = pair();
    assert_eq!((table.oldest(), table.step()), (None, Ok(None)));
    let tickets: Vec<_> = (0..3).map(|i| give(&mut table, CallId::nth(i))).collect();
    assert!((0..3).all(|n| table.nth(n) == Some(tickets[n as usize])));
    assert_eq!(table.nth(9), Some(tickets[2]));
    assert_eq!(table.revoke(tickets[1]), Ok(true));
    for ticket in &tickets {
        assert_eq!(table.step(), Ok(None));
        if page.claim(*ticket) == Ok(Claim::Skip) {
            assert_eq!(table.step(), Ok(Some(Step::Skipped)));
            continue;
        }
        assert!(!page.is_settled(*ticket));
        page.done(*ticket, RAN);
        assert!(page.is_settled(*ticket));
        assert_eq!(table.step(), Ok(Some(Step::Answered(*ticket))));
        table.answered(*ticket).unwrap();
    }
    assert_eq!((table.oldest(), table.is_empty()), (None, true));
}

#[test]
fn death_tells_which_calls_had_begun() {
    let (mut table, page) = pair();
    let tickets: Vec<_> = (0..4).map(|i| give(&mut table, CallId::nth(i))).collect();
    assert_eq!(table.begun(), Ok(vec![]));
    page.claim(tickets[0]).unwrap();
    page.done(tickets[0], RAN);
    page.claim(tickets[1]).unwrap();
    table.revoke(tickets[3]).unwrap();
    assert_eq!(table.begun(), Ok(vec![CallId::nth(0), CallId::nth(1)]));
    page.claim(tickets[2]).unwrap();
    let all = vec![CallId::nth(0), CallId::nth(1), CallId::nth(2)];
    assert_eq!(table.begun(), Err(all), "two cannot run at the same time");
}

/// A task that sets its own slot word back, so that it would run again.
#[test]
fn call_set_back_to_queued_is_corrupt() {
    let (mut table, page) = pair();
    let ticket = give(&mut table, CALL);
    let queued = page.state(ticket).load(Ordering::Relaxed);
    page.claim(ticket).unwrap();
    assert_eq!(table.progress(ticket), Ok(Progress::Running));
    page.state(ticket).store(queued, Ordering::Relaxed);
    assert_eq!(table.progress(ticket), Err(PageCorrupt));
    assert_eq!(table.revoke(ticket), Err(PageCorrupt));
    assert_eq!(table.begun(), Err(vec![CALL]));
}

#[test]
fn impossible_slot_word_is_corrupt() {
    let values = [0, 1, u64::MAX, 0x5555_5555_5555_5555, 6, 7];
    for value in values {
        for slot in 0..4 {
            let (mut table, page) = pair();
            let tickets: Vec<_> = (0..3).map(|i| give(&mut table, CallId::nth(i))).collect();
            page.claim(tickets[0]).unwrap();
            page.state(Ticket(slot as u64)).store(value, Ordering::Relaxed);
            if slot == 3 && value == 0 {
                continue; // That is its state.
            }
            let all = vec![CallId::nth(0), CallId::nth(1), CallId::nth(2)];
            assert_eq!(table.begun(), Err(all), "{value:#x} in slot {slot}");
            match slot {
                0 => assert_eq!(table.answered(tickets[0]), Err(PageCorrupt)),
                1 | 2 => assert_eq!(table.revoke(tickets[slot]), Err(PageCorrupt)),
                _ => assert_eq!(table.take(CALL), Err(PageCorrupt)),
            }
        }
    }
    let (mut table, _page) = pair();
    for number in [0, 1, u64::MAX] {
        assert_eq!(table.answered(Ticket(number)), Err(PageCorrupt));
        assert_eq!(table.record_begun(Ticket(number)), Err(PageCorrupt));
        assert_eq!(table.record_returned(Ticket(number), RAN), Err(PageCorrupt));
    }
}

impl Word for loom::sync::atomic::AtomicU64 {
    fn load(&self) -> u64 {
        Self::load(self, Ordering::Acquire)
    }

    fn store(&self, value: u64) {
        Self::store(self, value, Ordering::Release);
    }

    fn swap_if(&self, current: u64, new: u64) -> u64 {
        self.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
            .unwrap_or_else(|found| found)
    }
}

/// The worker claims a call while the pool revokes it. One of them succeeds, and the slot can be used again behind either.
#[test]
fn model_claim_against_revoke() {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicU64};

    loom::model(|| {
        let word = Arc::new(AtomicU64::new(0));
        let ran = Arc::new(AtomicBool::new(false));
        let [first, second] = [1, 2].map(|sequence| Ticket::new(0, sequence));
        queue(&*word, first);

        let worker = loom::thread::spawn({
            let (word, ran) = (Arc::clone(&word), Arc::clone(&ran));
            move || {
                let claim = claim(&*word, first).unwrap();
                if claim == Claim::Run {
                    ran.store(true, Ordering::Relaxed);
                    done(&*word, first);
                }
                claim
            }
        });
        let is_revoked = revoke(&*word, first).unwrap();
        // A call that has begun stays with the worker.
        if !is_revoked {
            assert!(matches!(look(&*word, first), Ok(SlotState::Running | SlotState::Done)));
        }
        let claimed = worker.join().unwrap();
        assert_eq!(claimed == Claim::Skip, is_revoked);
        assert_eq!(ran.load(Ordering::Relaxed), !is_revoked);
        if !is_revoked {
            answered(&*word, first).unwrap();
        }
        queue(&*word, second);
        assert_eq!(claim(&*word, first), Err(PageCorrupt), "an old call");
        assert_eq!(claim(&*word, second), Ok(Claim::Run));
    });
}

/// The pool looks at a call that runs. A state never comes before one that was seen.
#[test]
fn model_begun_call_stays_begun() {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU64;

    loom::model(|| {
        let word = Arc::new(AtomicU64::new(0));
        let ticket = Ticket::new(0, 1);
        queue(&*word, ticket);
        let worker = loom::thread::spawn({
            let word = Arc::clone(&word);
            move || {
                assert_eq!(claim(&*word, ticket), Ok(Claim::Run));
                done(&*word, ticket);
            }
        });
        let seen: Vec<_> = (0..3).map(|_| look(&*word, ticket).unwrap() as u64).collect();
        assert!(seen.is_sorted(), "{seen:?}");
        worker.join().unwrap();
        assert_eq!(look(&*word, ticket), Ok(SlotState::Done));
    });
}

/// The messages of a worker without a page move its calls, and nothing can be revoked.
#[test]
fn private_page_follows_messages() {
    let mut table = SlotTable::new(Arc::new(Page::private().unwrap()));
    for _ in 0..3 {
        let ticket = give(&mut table, CALL);
        assert_eq!(table.record_returned(ticket, RAN), Err(PageCorrupt), "before it began");
        assert_eq!(table.revoke(ticket), Ok(false));
        assert_eq!(table.begun(), Ok(vec![]));
        assert_eq!(table.record_begun(ticket), Ok(()));
        assert_eq!(table.record_begun(ticket), Err(PageCorrupt), "twice");
        assert_eq!(
            (table.progress(ticket), table.begun()),
            (Ok(Progress::Running), Ok(vec![CALL]))
        );
        assert_eq!(table.answered(ticket), Err(PageCorrupt), "before it returned");
        assert_eq!(table.record_returned(ticket, RAN), Ok(()));
        assert_eq!(table.record_returned(ticket, RAN), Err(PageCorrupt), "twice");
        assert_eq!(table.answered(ticket), Ok((CALL, RAN)));
        assert_eq!(table.record_begun(ticket), Err(PageCorrupt), "it is over");
        assert_eq!(table.record_returned(ticket, RAN), Err(PageCorrupt), "it is over");
        assert!(table.is_empty());
    }
}

/// A worker with a page has no say over the stream.
#[test]
fn shared_page_ignores_messages() {
    let (mut table, page) = pair();
    let ticket = give(&mut table, CALL);
    assert_eq!(table.record_begun(ticket), Err(PageCorrupt));
    page.claim(ticket).unwrap();
    assert_eq!(table.record_returned(ticket, RAN), Err(PageCorrupt));
    assert_eq!(table.progress(ticket), Ok(Progress::Running));
}

#[test]
fn batch_is_claimed_call_by_call() {
    let (mut table, page) = pair();
    let ticket = table.take(CALL).unwrap();
    assert!(!table.is_chunk(ticket));
    table.set_items(ticket, 3);
    table.publish(ticket);
    assert!(table.is_chunk(ticket));
    assert_eq!(page.claim(ticket), Ok(Claim::Run));
    for begun in 1..=2 {
        assert_eq!(page.begin_item(ticket), Ok(true));
        assert_eq!(table.items(ticket), Ok(Items { begun, limit: 3 }));
    }
    assert_eq!(table.cut(ticket), Ok(Items { begun: 2, limit: 2 }));
    assert_eq!(page.begin_item(ticket), Ok(false), "it was cut off");
    page.done(ticket, RAN);
    assert_eq!(table.answered(ticket), Ok((CALL, RAN)));
    let next = give(&mut table, CALL);
    assert!(next.slot() == ticket.slot() && !table.is_chunk(next), "nothing is left of it");
    assert_eq!(page.begin_item(next), Err(PageCorrupt));
}

#[test]
fn cut_of_unbegun_batch_leaves_one_call() {
    let (mut table, page) = pair();
    let ticket = table.take(CALL).unwrap();
    table.set_items(ticket, 9);
    table.publish(ticket);
    page.claim(ticket).unwrap();
    assert_eq!(table.cut(ticket), Ok(Items { begun: 0, limit: 1 }));
    assert_eq!((page.begin_item(ticket), page.begin_item(ticket)), (Ok(true), Ok(false)));
    assert_eq!(table.cut(ticket), Ok(Items { begun: 1, limit: 1 }));
}

#[test]
fn impossible_batch_word_is_corrupt() {
    let values = [0, 1, u64::MAX, 0x5555_5555_5555_5555, 1 << 24 | 4 << 12, 1 << 24 | 2 << 12 | 3];
    for value in values {
        let (mut table, page) = pair();
        let ticket = table.take(CALL).unwrap();
        table.set_items(ticket, 3);
        table.publish(ticket);
        page.claim(ticket).unwrap();
        page.batch(ticket).store(value, Ordering::Relaxed);
        assert_eq!(table.items(ticket), Err(PageCorrupt), "{value:#x}");
        assert_eq!(table.cut(ticket), Err(PageCorrupt), "{value:#x}");
    }
}

/// The number of begun calls can only grow, once the pool has seen it.
#[test]
fn batch_with_fewer_begun_calls_is_corrupt() {
    for (begun, limit) in [(0, 3), (1, 1), (2, 2)] {
        let (mut table, page) = pair();
        let ticket = table.take(CALL).unwrap();
        table.set_items(ticket, 9);
        table.publish(ticket);
        page.claim(ticket).unwrap();
        (0..3).for_each(|_| assert_eq!(page.begin_item(ticket), Ok(true)));
        assert_eq!(table.cut(ticket), Ok(Items { begun: 3, limit: 3 }));
        batch::set(page.batch(ticket), ticket, limit);
        (0..begun).for_each(|_| assert_eq!(page.begin_item(ticket), Ok(true)));
        assert_eq!(table.items(ticket), Err(PageCorrupt), "{begun} of {limit}");
        assert_eq!(table.begun(), Err(vec![CALL]), "{begun} of {limit}");
    }
}

#[test]
fn batch_has_begun_with_its_first_call() {
    let (mut table, page) = pair();
    let ticket = table.take(CALL).unwrap();
    table.set_items(ticket, 3);
    table.publish(ticket);
    assert_eq!(table.begun(), Ok(vec![]));
    assert_eq!(page.begin_item(ticket), Ok(true));
    assert_eq!(table.begun(), Err(vec![CALL]), "it was not claimed");

    let (mut table, page) = pair();
    let ticket = table.take(CALL).unwrap();
    table.set_items(ticket, 3);
    table.publish(ticket);
    page.claim(ticket).unwrap();
    assert_eq!(table.begun(), Ok(vec![]), "its worker was about to begin");
    page.state(Ticket::new(1, 0)).store(1, Ordering::Relaxed);
    assert_eq!(table.begun(), Err(vec![CALL]), "nothing in a corrupt page counts");
    page.state(Ticket::new(1, 0)).store(0, Ordering::Relaxed);
    assert_eq!(page.begin_item(ticket), Ok(true));
    assert_eq!(table.begun(), Ok(vec![CALL]));

    let (mut table, page) = pair();
    let ticket = table.take(CALL).unwrap();
    table.set_items(ticket, 3);
    table.publish(ticket);
    page.claim(ticket).unwrap();
    page.done(ticket, RAN);
    assert_eq!(table.begun(), Err(vec![CALL]), "answers of none");
}

/// A worker goes through a batch while the pool cuts it. Each call has begun or was cut off, never both, and all answers but the
/// last are there.
#[test]
fn model_begin_against_cut() {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU64;

    const COUNT: u32 = 3;
    loom::model(|| {
        let word = Arc::new(AtomicU64::new(0));
        let answers: Arc<[_; COUNT as usize]> =
            Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
        let ticket = Ticket::new(0, 1);
        batch::set(&*word, ticket, COUNT);
        let worker = loom::thread::spawn({
            let (word, answers) = (Arc::clone(&word), Arc::clone(&answers));
            move || {
                let mut begun = 0;
                while batch::begin(&*word, ticket).unwrap() {
                    answers[begun].store(1, Ordering::Relaxed);
                    begun += 1;
                }
                begun
            }
        });
        let Items { begun: seen, limit } = batch::cut(&*word, ticket).unwrap();
        for answer in &answers[..seen.saturating_sub(1) as usize] {
            assert_eq!(answer.load(Ordering::Relaxed), 1, "it was written before");
        }
        let begun = worker.join().unwrap();
        assert_eq!(begun, limit as usize, "it has run all that it was left");
        let expected = Ok(Items { begun: limit, limit });
        assert_eq!(batch::look(&*word, ticket), expected);
    });
}
