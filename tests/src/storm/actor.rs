//! A thread of a storm.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::mpsc::Sender;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use loky::{Error, Future, ProcessPoolExecutor, ReturnWhen, as_completed, wait};

use super::aftermath::{ActorLog, Fate};
use super::{Action, Disturbance, Span, Storm, kill_one, up_to};
use crate::deed::Deed;
use crate::pools::until_asleep;
use crate::step::Step;
use crate::time::{LONG, rest};
use crate::{Event, Random, Record};

/// Notes its number, performs a step, and returns its number and its text, repeated.
#[loky::task]
fn act(number: u64, record: Record, step: Step, text: String, times: usize) -> (u64, String) {
    record.note(number);
    step.perform();
    (number, text.repeat(times))
}

/// The text of a call: it differs from that of other calls.
fn text(number: u64, bytes: usize) -> String {
    let mut text = format!("{number:x}|").repeat(bytes / 2 + 1);
    text.truncate(bytes);
    text
}

/// A call whose future the thread keeps.
struct Kept {
    number: u64,
    /// The length of its argument, and how often that is repeated in its result.
    shape: (usize, usize),
    call: Future<(u64, String)>,
}

pub(super) struct Actor<'a> {
    storm: &'a Storm<'a>,
    executor: &'a ProcessPoolExecutor,
    record: &'a Record,
    told: Sender<Option<u64>>,
    random: Random,
    gate: Event,
    kept: VecDeque<Kept>,
    log: ActorLog,
}

impl<'a> Actor<'a> {
    pub(super) fn new(
        storm: &'a Storm<'a>,
        thread: usize,
        executor: &'a ProcessPoolExecutor,
        record: &'a Record,
        told: &Sender<Option<u64>>,
    ) -> Self {
        Self {
            storm,
            executor,
            record,
            told: told.clone(),
            random: Random::new((storm.seed << 8) + thread as u64),
            gate: Event::new(),
            kept: VecDeque::new(),
            log: ActorLog::new(thread),
        }
    }

    /// Acts until the span is over.
    pub(super) fn act(&mut self, start: Instant) {
        let total: usize = self.storm.actions.iter().map(|(weight, _)| weight).sum();
        for acts in 0.. {
            let elapsed = start.elapsed();
            match self.storm.span {
                Span::Acts(limit) if acts >= limit => break,
                Span::Time(limit) if elapsed >= limit => break,
                Span::Time(limit) if elapsed >= limit / 3 => self.log.measure_memory(),
                _ => {}
            }
            let mut place = self.random.below(total);
            let chosen = self.storm.actions.iter().find(|(weight, _)| {
                let is_here = place < *weight;
                place = place.saturating_sub(*weight);
                is_here
            });
            self.perform(chosen.expect("weights").1);
            while self.kept.len() > self.storm.kept {
                self.wait_for_one();
            }
        }
    }

    /// Waits for all calls that are kept, and returns what became of each call.
    pub(super) fn finish(mut self) -> ActorLog {
        self.settle();
        self.log
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Quick => self.submit(Step::Pass),
            Action::QuickAndCancel => {
                self.submit(Step::Pass);
                self.cancel_one(1);
            }
            Action::Burst(calls) => (0..calls).for_each(|_| self.submit(Step::Pass)),
            Action::Spin(time) => self.submit(Step::Spin(time)),
            Action::Block => self.block(),
            Action::Echo(bytes) => {
                let bytes = self.random.below(bytes);
                self.submit_text(Step::Pass, bytes, 1);
                let kept = self.kept.pop_back().expect("it was submitted");
                self.check(&kept, kept.call.result());
            }
            Action::LongResult(bytes) => self.submit_text(Step::Pass, 10, bytes / 10),
            Action::Panic => self.submit(Step::Do(Deed::Panic)),
            Action::Exit => self.submit(Step::Do(Deed::ExitAtOnce(1))),
            Action::Map(items) => self.map(items),
            Action::Wait => self.wait_for_one(),
            Action::GiveUp => self.give_up_on_one(),
            Action::Cancel(latest) => self.cancel_one(latest),
            Action::Drop => drop(self.take()),
            Action::WaitForSeveral => self.wait_for_several(),
            Action::CompleteSeveral => self.complete_several(),
            Action::Poll => self.poll_one(),
            Action::AddCallback => self.add_callback(),
            Action::Settle => self.settle(),
            Action::Rest(limit) => rest(up_to(&mut self.random, limit)),
            Action::Sleep => {
                self.settle();
                until_asleep(self.executor);
            }
            Action::Resize(most) => {
                self.executor.resize(1 + self.random.below(most)).unwrap();
            }
            Action::Kill => {
                self.log.kills += usize::from(kill_one(self.executor, &mut self.random));
            }
        }
    }

    fn submit(&mut self, step: Step) {
        self.submit_text(step, 0, 1);
    }

    fn submit_text(&mut self, step: Step, bytes: usize, times: usize) {
        let number = self.log.begin();
        let args = (number, self.record.clone(), step, text(number, bytes), times);
        let call = self.executor.submit(act, args);
        if matches!(self.storm.disturbance, Disturbance::KillPerOutcomes(_)) {
            self.tell_at_end(number, &call);
        }
        self.kept.push_back(Kept { number, shape: (bytes, times), call });
    }

    fn tell_at_end(&mut self, number: u64, call: &Future<(u64, String)>) {
        self.log.callbacks.push(number);
        let told = self.told.clone();
        call.add_done_callback(move |call| {
            assert!(call.is_done());
            told.send(Some(number)).expect("the disturber listens");
        });
    }

    fn block(&mut self) {
        self.submit(Step::Wait(self.gate.clone()));
        (0..self.random.below(20)).for_each(|_| self.submit(Step::Pass));
        // If the call that blocks was cancelled, a later one finds the gate open.
        self.gate.set();
    }

    fn map(&mut self, items: usize) {
        let numbers: Vec<_> = (0..items).map(|_| self.log.begin()).collect();
        let args = numbers
            .iter()
            .map(|number| (*number, self.record.clone(), Step::Pass, String::new(), 1));
        let results = self.executor.map(act, args);
        let mut n_results = 0;
        for (number, result) in numbers.iter().zip(results) {
            n_results += 1;
            self.log.end(*number, (0, 1), result);
            self.log.callbacks.push(*number);
            self.told.send(Some(*number)).expect("the disturber listens");
        }
        assert_eq!(n_results, items, "each item has one result");
    }

    /// Takes one of the calls that are kept.
    fn take(&mut self) -> Option<Kept> {
        self.take_latest(self.kept.len())
    }

    /// Takes one of the latest calls that are kept.
    fn take_latest(&mut self, latest: usize) -> Option<Kept> {
        let latest = latest.min(self.kept.len());
        if latest == 0 {
            return None;
        }
        let place = self.kept.len() - 1 - self.random.below(latest);
        self.kept.swap_remove_back(place)
    }

    fn check(&mut self, kept: &Kept, result: loky::Result<(u64, String)>) {
        if let Ok((_, found)) = &result {
            let (bytes, times) = kept.shape;
            assert!(*found == text(kept.number, bytes).repeat(times), "another text");
        }
        self.log.end(kept.number, kept.shape, result);
    }

    fn wait_for_one(&mut self) {
        let Some(kept) = self.take() else { return };
        self.check(&kept, kept.call.result());
    }

    fn give_up_on_one(&mut self) {
        let Some(kept) = self.take() else { return };
        let limit = up_to(&mut self.random, Duration::from_millis(2));
        match kept.call.result_timeout(limit) {
            Err(error) if error.is_timeout() => self.kept.push_back(kept),
            result => self.check(&kept, result),
        }
    }

    fn cancel_one(&mut self, latest: usize) {
        let Some(kept) = self.take_latest(latest) else { return };
        if kept.call.cancel() {
            assert!(kept.call.is_cancelled() && kept.call.is_done());
            assert!(kept.call.cancel(), "it is cancelled already");
            self.log.set(kept.number, Fate::Cancelled);
            if self.random.once_in(2) {
                assert_eq!(kept.call.worker_pid(), None);
                self.check(&kept, kept.call.result());
            }
        } else {
            self.kept.push_back(kept);
        }
    }

    fn take_several(&mut self) -> Vec<Future<(u64, String)>> {
        let n_calls = self.random.below(20);
        (0..n_calls).filter_map(|_| self.take()).map(|kept| kept.call).collect()
    }

    fn wait_for_several(&mut self) {
        let calls = self.take_several();
        let ways = [ReturnWhen::FirstCompleted, ReturnWhen::AllCompleted];
        let waited = wait(&calls, ways[self.random.below(2)], Some(LONG));
        assert!(!waited.done.is_empty() || calls.is_empty());
    }

    fn complete_several(&mut self) {
        let calls = self.take_several();
        // It may leave early.
        let n_taken = self.random.below(calls.len() + 1);
        let completed = as_completed(calls).timeout(LONG).take(n_taken);
        let n_done = completed.map(|call| call.expect("in time")).filter(Future::is_done).count();
        assert_eq!(n_done, n_taken);
    }

    fn poll_one(&mut self) {
        let Some(kept) = self.take() else { return };
        let polled = pin!(kept.call.clone()).poll(&mut Context::from_waker(Waker::noop()));
        match polled {
            Poll::Ready(result) => self.check(&kept, result),
            Poll::Pending => self.kept.push_back(kept),
        }
    }

    fn add_callback(&mut self) {
        let Some(kept) = self.take() else { return };
        self.tell_at_end(kept.number, &kept.call);
        self.kept.push_back(kept);
    }

    fn settle(&mut self) {
        while let Some(kept) = self.kept.pop_front() {
            let result = kept.call.result_timeout(LONG);
            let is_open = result.as_ref().is_err_and(Error::is_timeout);
            assert!(!is_open, "call {:x} has no outcome", kept.number);
            self.check(&kept, result);
        }
    }
}
